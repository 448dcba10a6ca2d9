import { execFile } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Stack } from 'aws-cdk-lib'

/** The module that Lambda would load, of the one function of a stack. */
export function bundleOf(stack: Stack, outdir: string): string {
  const assets = JSON.parse(readFileSync(join(outdir, `${stack.stackName}.assets.json`), 'utf8'))
  const sources: { source: { path: string } }[] = Object.values(assets.files)
  const folder = sources.map(({ source }) => source.path).find((path) => path.startsWith('asset.'))
  return join(outdir, folder!, 'index.mjs')
}

/** What Lambda does: the module is loaded once, and its handler called for each event. */
const driver = `
  const began = performance.now()
  const { handler } = await import(process.argv[1])
  const importMs = performance.now() - began
  const answers = []
  for (const event of JSON.parse(process.argv[2])) {
    const context = { getRemainingTimeInMillis: () => 20_000 }
    answers.push(await handler(event, context).then((value) => ({ value }), (error) => ({ error: String(error) })))
  }
  process.stdout.write('\\n' + JSON.stringify({ importMs, answers }), () => process.exit())
`

export async function runBundle<Value>(
  bundle: string,
  { env, events }: { env: Record<string, string>; events: object[] },
) {
  const args = ['--input-type=module', '--eval', driver, bundle, JSON.stringify(events)]
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { env, timeout: 30_000 })
  const lines = stdout.split('\n').filter(Boolean)
  const { importMs, answers } = JSON.parse(lines.at(-1)!) as {
    importMs: number
    answers: { value?: Value; error?: string }[]
  }
  const size = `${(statSync(bundle).size / 1024).toFixed(0)} KiB, loaded in ${importMs.toFixed(0)} ms`
  return { log: lines.slice(0, -1), answers, output: stdout + stderr, size }
}
