import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { readConfig } from '#shared/config.ts'
import { settings } from '#shared/contract/setting.ts'
import { connectionOptions, databaseSettings } from '#shared/db/connection.ts'
import { readStages, root, stepsOfImage, wordsOf } from './dockerfile.ts'

interface Service {
  image: string
  ports?: string[]
  network_mode?: string
  profiles?: string[]
  environment?: Record<string, string | null>
  build?: { context: string; dockerfile: string; args?: Record<string, string> }
  volumes?: string[]
}

const folder = join(root, 'services/local')
const { services }: { services: Record<string, Service> } = parse(readFileSync(join(folder, 'compose.yaml'), 'utf8'), {
  merge: true,
})
const { tidb, ...images } = services

test('the database is of an exact version, and nothing is reached from other machines', () => {
  assert.match(tidb!.image, /^pingcap\/tidb:v\d+\.\d+\.\d+$/)
  for (const { ports = [] } of Object.values(services)) for (const port of ports) assert.match(port, /^127\.0\.0\.1:/)
})

test('the database alone is started where no profile is named', () => {
  assert.equal(tidb!.profiles, undefined)
  for (const { profiles } of Object.values(images)) assert.deepEqual(profiles, ['images'])
})

test('images are built from Dockerfiles that there are, and told what the services read', () => {
  for (const [name, { build, environment = {}, network_mode: network }] of Object.entries(images)) {
    assert.ok(existsSync(join(folder, build!.context, build!.dockerfile)), build!.dockerfile)
    const unknown = Object.keys(environment).filter((each) => !(each in settings))
    assert.deepEqual(
      unknown.filter((each) => !each.startsWith('AWS_')),
      [],
      name,
    )
    // Without TLS, which is refused anywhere but on loopback.
    assert.equal(network, 'service:tidb')
    const config = readConfig(databaseSettings, environment as Record<string, string>)
    assert.ok(connectionOptions({ url: config.DATABASE_URL, tls: config.DATABASE_TLS }).database)
  }
})

test('ports and volumes are those of the images', () => {
  for (const name of ['api', 'consumer']) {
    const { dockerfile, args } = images[name]!.build!
    const steps = stepsOfImage(readStages(dockerfile, args))
    const [port] = wordsOf(steps, 'EXPOSE')!
    assert.ok(tidb!.ports!.includes(`127.0.0.1:${port}:${port}`), `${name} is reached on ${port}`)
    const mounted = (images[name]!.volumes ?? []).map((volume) => volume.split(':')[1])
    assert.deepEqual(mounted, wordsOf(steps, 'VOLUME') ?? [])
  }
})
