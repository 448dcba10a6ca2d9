import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decide } from '../../cdk/scaler/decide.ts'
import type { Pod } from '../../cdk/scaler/runpod.ts'
import { testStage } from './synthesise.ts'

const { scaler } = testStage()
const midnight = Date.parse('2026-03-05T00:00:00Z')

test('a stage that may spend nothing has all of its pods ended, at any time, and orders none', () => {
  const limits = testStage({ scaler: { ...scaler, min_pods: 1, daily_usd: 0 } }).scaler
  const statuses: Pod['status'][] = ['PROVISIONING', 'STARTING', 'RUNNING', 'EXITED', 'ERROR']
  for (const now of [midnight, midnight + 60_000]) {
    const pods = statuses.flatMap((status, index) =>
      ['1111aaaa', '2222aaaa'].map((revision) => ({
        id: `${revision} ${status}`,
        name: `promenade-testing-${revision}-0000000${index}`,
        status,
        usdPerHour: 0.5,
        createdAt: now - 30_000,
      })),
    )
    const { wanted, create, remove } = decide({ now, backlog: 500, pods }, undefined, {
      stage: 'testing',
      revision: '2222aaaa',
      limits,
    })
    assert.deepEqual([wanted, create], [0, 0])
    assert.deepEqual(remove.map(({ id }) => id).sort(), pods.map(({ id }) => id).sort())
  }
})
