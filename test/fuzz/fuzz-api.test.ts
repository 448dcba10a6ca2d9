import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fuzzApi } from './fuzz-api.ts'
import { createFindings } from './outcome.ts'

test('requests made from the description of the API, and hostile ones, are answered as it says and harm nobody', async () => {
  const findings = createFindings(1)
  const numbers = Array.from({ length: 600 }, (_, index) => index)
  await fuzzApi({ seed: 1, numbers }, findings)
  assert.deepEqual(findings.faults, [])
  const results = new Set(findings.rows().flatMap((row) => [...row.results.keys()]))
  for (const result of ['read', 'INVALID_REQUEST', 'RESULT_NOT_FOUND', 'UNAUTHORIZED'] as const) {
    assert.ok(results.has(result), `nothing came out as ${result}`)
  }
})
