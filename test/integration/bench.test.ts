import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { isRunning } from '../is-running.ts'

const entry = fileURLToPath(new URL('../bench/main.ts', import.meta.url))
const cwd = mkdtempSync(join(tmpdir(), 'bench-'))
after(() => rmSync(cwd, { recursive: true }))

async function bench(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [entry, ...args], { cwd, timeout: 120_000 })
  return stdout
}

async function refusal(...args: string[]): Promise<{ code: number; stderr: string }> {
  return bench(...args).then(
    () => assert.fail('it was accepted'),
    ({ code, stderr }) => ({ code, stderr }),
  )
}

const models = () => readdirSync(join(cwd, '.local/bench'))

/** Of the process and, below, of what it has started, by Linux's table of processes. */
function descendants(pid: number): number[] {
  const path = `/proc/${pid}/task/${pid}/children`
  const children = existsSync(path) ? readFileSync(path, 'utf8').trim().split(' ').filter(Boolean).map(Number) : []
  return children.flatMap((child) => [child, ...descendants(child)])
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
    assert.deepEqual(models(), [])
  })

  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    it(`leaves no model and no process behind after ${signal} in the middle of composing`, async () => {
      const args = ['musicgen', '--model', 'tiny', '--seconds', '30', '--batch', '8', '--no-baseline']
      const child = spawn(process.execPath, [entry, ...args], { cwd, stdio: ['ignore', 'ignore', 'pipe'] })
      const closed = once(child, 'close')
      let said = ''
      child.stderr.on('data', (chunk) => {
        said += chunk
      })
      // The task, and what it measures the bandwidth with.
      let started: number[] = []
      while (child.exitCode === null && started.length < 2) {
        await sleep(50)
        started = descendants(child.pid!)
      }
      assert.equal(models().length, 1)
      child.kill(signal)
      assert.deepEqual(await closed, [status, null], said)
      assert.match(said, /8 at once\n$/)
      assert.deepEqual(models(), [])
      const deadline = Date.now() + 10_000
      while (started.some(isRunning)) {
        assert.ok(Date.now() < deadline, `still running: ${started}`)
        await sleep(50)
      }
    })
  }

  it('says in one line what a measurement failed of', async () => {
    const { code, stderr } = await refusal('musicgen', '--model', 'tiny', '--providers', 'nope', '--no-baseline')
    assert.equal(code, 1)
    assert.match(stderr, /1 at once\n[^\n]+ONNX Runtime cannot load the graph: [^\n]+\n$/)
    assert.deepEqual(models(), [])
  })

  it('refuses an empty list before anything is built', async () => {
    for (const option of ['--precision=', '--providers=', '--providers=,']) {
      const { code, stderr } = await refusal('quantisation', '--model', 'tiny', option)
      assert.equal(code, 2)
      assert.match(stderr, /^error: [^\n]+Expected one name, or several with commas between them\.\n$/)
    }
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
