import type { Precision } from '#shared/model/manifest.ts'
import type { BuildOptions, Source } from './build-options.ts'
import { buildReadyMade } from './classifier/build-ready-made.ts'
import { buildTowers } from './classifier/build-towers.ts'
import { writeTinyClip } from './classifier/tiny-clip.ts'
import { buildMusicgen } from './musicgen/build.ts'
import { writeTinyMusicgen } from './musicgen/tiny.ts'

interface CommonEntry {
  license: string
  /** What the builder can make, the usual one first: that of the model's plain name. */
  precisions: readonly [Precision, ...Precision[]]
  build(options: BuildOptions): void | Promise<void>
}

/** A checkpoint that is written when it is needed. */
interface GeneratedEntry extends CommonEntry {
  kind: 'musicgen' | 'classifier'
  source: Source & { generated: true }
  checkpoint(dir: string): void
}

/** A checkpoint that is pulled from the hub. */
interface HubEntry extends CommonEntry {
  kind: 'musicgen' | 'classifier'
  source: Source & { generated: false }
  /** About what a pull fetches. */
  gigabytes: number
  /** Beside the weights. */
  files: readonly string[]
}

/** A checkpoint that only the user has, in the folder that `--from` names. */
interface OwnEntry extends CommonEntry {
  kind: 'classifier'
  source: Source & { generated: false }
}

export type Entry = GeneratedEntry | HubEntry | OwnEntry

const generated = { repository: 'generated', revision: 'seed 1', generated: true } as const

/** int8 suits a CPU, fp16 a GPU. */
const musicPrecisions = ['int8', 'int4', 'fp16', 'fp32'] as const

const musicgen = (repository: string, revision: string, gigabytes: number): HubEntry => ({
  kind: 'musicgen',
  source: { repository, revision, generated: false },
  license: 'CC-BY-NC-4.0',
  gigabytes,
  files: ['config.json', 'generation_config.json', 'tokenizer.json'],
  precisions: musicPrecisions,
  build: buildMusicgen,
})

const imageTower = (
  options: Pick<HubEntry, 'license' | 'gigabytes' | 'build'> & Omit<Source, 'generated'>,
): HubEntry => {
  const { repository, revision, ...rest } = options
  return {
    kind: 'classifier',
    source: { repository, revision, generated: false },
    files: ['config.json', 'preprocessor_config.json', 'tokenizer.json', 'tokenizer_config.json'],
    precisions: ['fp32', 'fp16', 'int8', 'int4'],
    ...rest,
  }
}

/** The models that can be built, by name. */
export const catalogue = {
  'tiny-random-musicgen': {
    kind: 'musicgen',
    source: generated,
    license: 'MIT',
    precisions: ['fp32', 'fp16', 'int8', 'int4'],
    checkpoint: (dir) => writeTinyMusicgen(dir, { seed: 1 }),
    build: buildMusicgen,
  },
  'tiny-random-clip': {
    kind: 'classifier',
    source: generated,
    license: 'MIT',
    precisions: ['fp32'],
    checkpoint: (dir) => writeTinyClip(dir, { seed: 1 }),
    build: buildTowers,
  },
  'musicgen-small': musicgen('facebook/musicgen-small', '4c8334b02c6ec4e8664a91979669a501ec497792', 2.36),
  'musicgen-medium': musicgen('facebook/musicgen-medium', 'd3bd7b00761b78ad7a8a05145ee31e7832e9916c', 8.04),
  'musicgen-large': musicgen('facebook/musicgen-large', '15ccdc92099879e47b6da12c350cdb71d4eab3ca', 13.7),
  'musicgen-stereo-small': musicgen('facebook/musicgen-stereo-small', '3a110c0092820d470372c880c5ea06ce21a78ddd', 2.4),
  'musicgen-stereo-medium': musicgen(
    'facebook/musicgen-stereo-medium',
    '2747e613fbaadc43b14257224326ef58c5c11b81',
    8.1,
  ),
  'clip-vit-large-patch14': imageTower({
    repository: 'openai/clip-vit-large-patch14',
    revision: '32bd64288804d66eefd0ccbe215aa642df71cc41',
    license: 'MIT',
    gigabytes: 1.71,
    build: buildTowers,
  }),
  // The commit of the pull request that converted it: the main branch has no safetensors.
  'clip-vit-base-patch32': imageTower({
    repository: 'openai/clip-vit-base-patch32',
    revision: 'c237dc49a33fc61debc9276459120b7eac67e7ef',
    license: 'MIT',
    gigabytes: 0.61,
    build: buildTowers,
  }),
  'siglip-base-patch16-224': imageTower({
    repository: 'google/siglip-base-patch16-224',
    revision: '7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed',
    license: 'Apache-2.0',
    gigabytes: 0.81,
    build: buildTowers,
  }),
  'siglip2-base-patch16-224': imageTower({
    repository: 'google/siglip2-base-patch16-224',
    revision: '75de2d55ec2d0b4efc50b3e9ad70dba96a7b2fa2',
    license: 'Apache-2.0',
    gigabytes: 1.5,
    build: buildTowers,
  }),
  'ready-made-classifier': {
    kind: 'classifier',
    source: { repository: 'a folder of yours', revision: '--from', generated: false },
    license: 'its own',
    precisions: ['fp32'],
    build: buildReadyMade,
  },
} as const satisfies Record<string, Entry>

export type ModelName = keyof typeof catalogue

export const modelNames = Object.keys(catalogue) as ModelName[]

export const entryOf = (name: ModelName): Entry => catalogue[name]

/** Whether the hub has its checkpoint. */
export const isOnHub = (entry: Entry): entry is HubEntry => 'files' in entry

export const isGenerated = (entry: Entry): entry is GeneratedEntry => entry.source.generated
