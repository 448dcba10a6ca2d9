import assert from 'node:assert/strict'
import { existsSync, globSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Healthcheck } from 'dockerfile-ast'
import { readStage } from '../../cdk/stage.ts'
import { copyOf, flagOf, isCopy, isHidden, readStages, root, stageNamed, stepsOfImage, wordsOf } from './dockerfile.ts'

const files = globSync('{cdk,services,shared,test}/**/Dockerfile', { cwd: root })
const images = [
  { file: 'services/api/Dockerfile', args: {}, port: '8080' },
  { file: 'services/consumer/Dockerfile', args: { PROVIDER: 'cpu' }, port: '9464' },
  { file: 'services/consumer/Dockerfile', args: { PROVIDER: 'cuda' }, port: '9464' },
]

it('every Dockerfile is looked at', () => {
  assert.deepEqual(files.sort(), [...new Set(images.map(({ file }) => file))].sort())
})

for (const { file, args, port } of images) {
  describe(`${file} ${JSON.stringify(args)}`, () => {
    const stages = readStages(file, args)
    const all = stages.flatMap(({ steps }) => steps)
    const image = stepsOfImage(stages)

    it('stands on bases of an exact version', () => {
      for (const { base } of stages) {
        if (stageNamed(stages, base)) continue
        assert.match(base, /:.*\d+\.\d+\.\d+[^:]*$/, `${base} must name an exact version`)
        assert.doesNotMatch(base, /latest/)
      }
    })

    it('runs as a user of a number, not root, from the last step that could change a file', () => {
      assert.match(wordsOf(image, 'USER')!.join(' '), /^[1-9]\d*:[1-9]\d*$/)
      const user = image.findLastIndex((step) => step.getKeyword() === 'USER')
      const after = image.slice(user + 1).map((step) => step.getKeyword())
      assert.deepEqual(
        after.filter((keyword) => ['RUN', 'COPY', 'ADD', 'USER', 'WORKDIR'].includes(keyword)),
        [],
      )
    })

    it('says how it is, on the port that it opens', () => {
      assert.deepEqual(wordsOf(image, 'EXPOSE'), [port])
      const check = image.find((step) => step.getKeyword() === 'HEALTHCHECK') as Healthcheck
      for (const name of ['interval', 'timeout', 'start-period', 'retries']) assert.ok(flagOf(check, name), name)
      assert.match(check.getArgumentsContent()!, new RegExp(`\\b${port}\\b.*/healthz`))
    })

    it('is started without a shell, which would keep signals to itself', () => {
      const entry = image.find((step) => step.getKeyword() === 'ENTRYPOINT')!
      assert.match(entry.getArgumentsContent()!, /^\["node"/)
    })

    it('copies what there is, and nothing that .dockerignore hides', () => {
      for (const step of all.filter(isCopy)) {
        const { from, sources } = copyOf(step)
        if (from) {
          assert.ok(stageNamed(stages, from), `${from} is a stage`)
          continue
        }
        for (const source of sources) {
          assert.ok(existsSync(join(root, source)), `${source} is there`)
          assert.equal(isHidden(source), false, `${source} is not hidden`)
        }
      }
    })

    it('gets packages before sources, by the lock, without those for development', () => {
      const { steps } = stageNamed(stages, 'packages')!
      assert.deepEqual(
        steps.filter(isCopy).map((step) => copyOf(step).sources),
        [['package.json', 'package-lock.json']],
      )
      const installs = all.filter((step) => /\bnpm (ci|i|install)\b/.test(step.getArgumentsContent() ?? ''))
      assert.equal(installs.length, 1)
      assert.match(installs[0]!.getArgumentsContent()!, /npm ci --omit=dev /)
    })

    it('fetches nothing by ADD, and by curl only what it knows the digest of', () => {
      assert.deepEqual(all.filter((step) => step.getKeyword() === 'ADD').map(String), [])
      for (const step of all) {
        const text = step.getArgumentsContent() ?? ''
        if (/\b(curl|wget)\b/.test(text))
          assert.match(text, /curl --fail .* https:.*"[0-9a-f]{64} .*sha256sum --check/s)
        assert.doesNotMatch(text, /apt-get|--privileged|chmod 777/)
      }
    })

    it('holds no secret', () => {
      for (const step of all.filter((each) => ['ENV', 'ARG'].includes(each.getKeyword()))) {
        assert.doesNotMatch(step.getArgumentsContent()!, /key|secret|token|password|database_url/i)
      }
    })
  })
}

it('the engine is sent sources and the lock, and nothing of this machine', () => {
  const hidden = [
    '.git',
    '.git/config',
    '.env',
    '.local/models',
    'node_modules/pino',
    'test/run.ts',
    'cdk/app.ts',
    '.npmrc',
  ]
  for (const path of [...hidden, 'services/local/demo.ts', 'services/dlq/main.ts', 'services/api/Dockerfile']) {
    assert.equal(isHidden(path), true, path)
  }
  // The digest of the builder's sources is part of a model: the same here and in the image.
  for (const path of globSync('services/models/**/*.{ts,json,proto}', { cwd: root }))
    assert.equal(isHidden(path), false)
  assert.equal(isHidden('shared/db/migrations/0000_initial.sql'), false)
})

it('the CUDA of the image is what stages ask of hosts', () => {
  const stages = readStages('services/consumer/Dockerfile')
  const [, version] = /^nvidia\/cuda:(12\.\d+)\.\d+-cudnn-runtime-/.exec(stageNamed(stages, 'cuda')!.base) ?? []
  for (const name of ['staging', 'production']) assert.equal(readStage(name).scaler.min_cuda, version)
})
