import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const entry = fileURLToPath(new URL('../bench/main.ts', import.meta.url))
const cwd = mkdtempSync(join(tmpdir(), 'bench-'))
after(() => rmSync(cwd, { recursive: true }))

async function bench(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [entry, ...args], { cwd, timeout: 120_000 })
  return stdout
}

describe('npm run bench', () => {
  it('measures composing beside the baseline and the floor, and leaves no model behind', async () => {
    const figures = JSON.parse(
      await bench('musicgen', '--model', 'tiny', '--batch', '1,2', '--seconds', '0.5', '--json'),
    )
    assert.ok(figures.baseline_step_ms > 0)
    assert.deepEqual(
      figures.rows.map((row: { batch: number }) => row.batch),
      [1, 2],
    )
    for (const row of figures.rows) {
      assert.equal(row.steps, 28)
      const { seconds_per_clip, step_ms, floor_ms, ratio_to_floor, ratio_to_baseline, peak_bytes } = row
      for (const figure of [seconds_per_clip, step_ms, floor_ms, ratio_to_floor, ratio_to_baseline, peak_bytes]) {
        assert.ok(figure > 0)
      }
    }
    assert.deepEqual(readdirSync(join(cwd, '.local/bench')), [])
  })

  it('prints what each precision loses', async () => {
    const lines = (await bench('quantisation', '--model', 'tiny', '--precision', 'fp16,int8')).trim().split('\n')
    assert.match(lines[0]!, /precision +logit error +same tokens +PCM dB/)
    assert.match(lines[1]!, /fp16 +0\.\d\d %/)
    assert.match(lines[2]!, /int8 +\d\.\d\d %/)
  })

  it('sets the scaler beside pods that are always on', async () => {
    const { rows } = JSON.parse(await bench('scaler', '--json'))
    assert.deepEqual(
      rows.slice(0, 3).map(({ name }: { name: string }) => name),
      ['day 1: scaler', 'day 1: 1 always on', 'day 1: 5 always on'],
    )
    assert.ok(rows[0].usd < rows[2].usd / 4)
  })
})
