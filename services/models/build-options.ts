import type { MusicManifest, Precision } from '#shared/model/manifest.ts'

export type Source = MusicManifest['source']

/** What every builder is told. */
export interface BuildOptions {
  /** The checkpoint, in Hugging Face's layout. */
  checkpointDir: string
  /** The model's folder, written whole or not at all. */
  outDir: string
  name: string
  source: Source
  license: string
  precision: Precision
}
