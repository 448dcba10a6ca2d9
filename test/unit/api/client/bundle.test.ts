import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { build } from 'esbuild'

const folder = 'services/api/client'
const mostBytes = 12 * 1024

test('the client is a folder that stands alone', () => {
  for (const file of globSync(`${folder}/*.ts`)) {
    const text = readFileSync(file, 'utf8')
    for (const [, from] of text.matchAll(/from '([^']+)'/g)) assert.match(from!, /^\.\/[\w-]+\.ts$/, file)
  }
})

test('it is one small module for browsers, without any of Node', async () => {
  const { outputFiles, metafile } = await build({
    entryPoints: [`${folder}/client.ts`],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2020',
    metafile: true,
    write: false,
  })
  const [output] = Object.values(metafile.outputs)
  assert.deepEqual(output!.imports, [])
  assert.deepEqual(output!.exports, ['PromenadeError', 'createPromenadeClient'])
  assert.ok(outputFiles[0]!.contents.length <= mostBytes, `${outputFiles[0]!.contents.length} bytes`)
})

test('its types need those of a browser and no others, under the strictest rules', async () => {
  const strict = ['--strict', '--noUncheckedIndexedAccess', '--exactOptionalPropertyTypes', '--isolatedModules']
  const platform = ['--lib', 'es2022,dom', '--types', '', '--module', 'esnext', '--moduleResolution', 'bundler']
  const options = [
    '--ignoreConfig',
    '--noEmit',
    '--allowImportingTsExtensions',
    '--target',
    'es2022',
    '--pretty',
    'false',
  ]
  const tsc = promisify(execFile)('node_modules/.bin/tsc', [...options, ...strict, ...platform, `${folder}/client.ts`])
  const { stdout } = await tsc.catch((error: { stdout: string }) => error)
  assert.equal(stdout, '')
})
