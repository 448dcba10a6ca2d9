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
  /** Compressed when it is first asked for: a function that has just started has other things to do. */
  encode(encoding: Encoding): Promise<Buffer>
}

const compress = { br: promisify<Buffer, Buffer>(brotliCompress), gzip: promisify<Buffer, Buffer>(gzip) }
export type Encoding = keyof typeof compress

/** What a page is made of: the names that the document, the first, has for the others. */
const pageNames = ['index.html', 'main.js', 'style.css', 'icon.svg'] as const
export type PageSources = Record<(typeof pageNames)[number], Buffer>

const contentTypes: Record<string, string> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** Names each file after its content, so that browsers need never ask for it again. */
export function createPage({ 'index.html': document, ...sources }: PageSources): Page {
  let html = document.toString()
  const files = new Map<string, PageFile>()
  for (const [name, body] of Object.entries(sources)) {
    const digest = createHash('sha256').update(body).digest('hex').slice(0, 12)
    const named = name.replace(/(?=\.\w+$)/, `-${digest}`)
    html = html.replaceAll(`/web/${name}`, `/web/${named}`)
    const encoded: { [encoding in Encoding]?: Promise<Buffer> } = {}
    files.set(named, {
      contentType: contentTypes[extname(name)]!,
      body,
      encode(encoding) {
        encoded[encoding] ??= compress[encoding](body)
        return encoded[encoding]
      },
    })
  }
  return { html, files }
}

/** The sources that have been bundled into a folder. */
export async function readPageSources(folder: string): Promise<PageSources> {
  const read = pageNames.map(async (name) => [name, await readFile(join(folder, name))])
  return Object.fromEntries(await Promise.all(read))
}
