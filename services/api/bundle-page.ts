/** `node services/api/bundle-page.ts <folder>` writes the page's sources there: for a place that has no esbuild. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { PageSources } from './page.ts'

const web = fileURLToPath(new URL('web', import.meta.url))
/** Those that have `light-dark()` and nested rules. */
const target = ['chrome123', 'firefox120', 'safari17.5']

/** Bundles the page's modules, in some 100 ms. Throws what esbuild has against them. */
export async function bundlePage(): Promise<PageSources> {
  const { outputFiles } = await build({
    absWorkingDir: web,
    entryPoints: ['main.ts', 'style.css'],
    outdir: 'out',
    bundle: true,
    minify: true,
    format: 'esm',
    target,
    charset: 'utf8',
    legalComments: 'eof',
    write: false,
    logLevel: 'silent',
  })
  const bundled = (name: string) => Buffer.from(outputFiles.find(({ path }) => basename(path) === name)!.contents)
  return {
    'index.html': await readFile(join(web, 'index.html')),
    'main.js': bundled('main.js'),
    'style.css': bundled('style.css'),
    'icon.svg': await readFile(join(web, 'icon.svg')),
  }
}

if (import.meta.main) {
  const [, , folder] = process.argv
  if (!folder) throw new Error('Expected the folder to write to')
  await mkdir(folder, { recursive: true })
  for (const [name, body] of Object.entries(await bundlePage())) await writeFile(join(folder, name), body)
}
