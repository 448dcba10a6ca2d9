import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress, gzip } from 'node:zlib'
import { build } from 'esbuild'

/** The page to try Promenade: its document, and the files that this names. */
export interface Page {
  html: string
  /** By name. A name stands for one content. */
  files: Map<string, PageFile>
}

export interface PageFile {
  contentType: string
  body: Buffer
  encoded: { br: Buffer; gzip: Buffer }
}

const folder = fileURLToPath(new URL('web', import.meta.url))
const contentTypes: Record<string, string> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}
/** Those that have `light-dark()` and nested rules. */
const target = ['chrome123', 'firefox120', 'safari17.5']

/** Bundles the page's modules, in some 50 ms. Throws what esbuild has against them. */
export async function buildPage(): Promise<Page> {
  const { outputFiles } = await build({
    absWorkingDir: folder,
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
  const sources = [
    ...outputFiles.map(({ path, contents }) => ({ name: basename(path), body: Buffer.from(contents) })),
    { name: 'icon.svg', body: await readFile(`${folder}/icon.svg`) },
  ]
  let html = await readFile(`${folder}/index.html`, 'utf8')
  const files = new Map<string, PageFile>()
  for (const { name, body } of sources) {
    const digest = createHash('sha256').update(body).digest('hex').slice(0, 12)
    const named = name.replace(/(?=\.\w+$)/, `-${digest}`)
    html = html.replaceAll(`/web/${name}`, `/web/${named}`)
    const encoded = { br: await promisify(brotliCompress)(body), gzip: await promisify(gzip)(body) }
    files.set(named, { contentType: contentTypes[extname(name)]!, body, encoded })
  }
  return { html, files }
}
