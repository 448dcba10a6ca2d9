import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, gzip } from 'node:zlib'

/** The page to try Promenade: its document, and the files that this names. */
export interface Page {
  html: string
  /** By name. A name stands for one content. */
  files: Map<string, PageFile>
}

interface PageFile {
  contentType: string
  body: Buffer
  encoded: { br: Buffer; gzip: Buffer }
}

/** What a page is made of: the names that the document, the first, has for the others. */
export const pageNames = ['index.html', 'main.js', 'style.css', 'icon.svg'] as const
export type PageSources = Record<(typeof pageNames)[number], Buffer>

const contentTypes: Record<string, string> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** Names each file after its content, so that browsers need never ask for it again, and compresses it. */
export async function createPage({ 'index.html': document, ...sources }: PageSources): Promise<Page> {
  let html = document.toString()
  const files = new Map<string, PageFile>()
  for (const [name, body] of Object.entries(sources)) {
    const digest = createHash('sha256').update(body).digest('hex').slice(0, 12)
    const named = name.replace(/(?=\.\w+$)/, `-${digest}`)
    html = html.replaceAll(`/web/${name}`, `/web/${named}`)
    const encoded = { br: await promisify(brotliCompress)(body), gzip: await promisify(gzip)(body) }
    files.set(named, { contentType: contentTypes[extname(name)]!, body, encoded })
  }
  return { html, files }
}

/** The sources that have been bundled into a folder. */
export async function readPageSources(folder: string): Promise<PageSources> {
  const read = pageNames.map(async (name) => [name, await readFile(join(folder, name))])
  return Object.fromEntries(await Promise.all(read))
}
