import { buildTowers } from './classifier/build-towers.ts'
import { writeTinyClip } from './classifier/tiny-clip.ts'
import { buildMusicgen } from './musicgen/build.ts'
import { writeTinyMusicgen } from './musicgen/tiny.ts'

const generated = { repository: 'generated', revision: 'seed 1', generated: true }

/** The models that can be built, by name. `checkpoint` writes the checkpoint that `build` builds from. */
export const catalogue = {
  'tiny-random-musicgen': {
    kind: 'musicgen',
    source: generated,
    license: 'MIT',
    checkpoint: (dir: string) => writeTinyMusicgen(dir, { seed: 1 }),
    build: buildMusicgen,
  },
  'tiny-random-clip': {
    kind: 'classifier',
    source: generated,
    license: 'MIT',
    checkpoint: (dir: string) => writeTinyClip(dir, { seed: 1 }),
    build: buildTowers,
  },
} as const

export type ModelName = keyof typeof catalogue

export const modelNames = Object.keys(catalogue) as ModelName[]
