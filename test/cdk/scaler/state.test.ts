import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mostPods } from '../../../cdk/scaler/settings.ts'
import { simulateHours } from './simulated-hours.ts'

/** Of a parameter in the standard tier of Parameter Store. */
const mostCharacters = 4_096

test('the state of the most pods that a stage may have takes less than four fifths of its parameter', async () => {
  const { world, round, pods, memory } = simulateHours({
    backlog: 1_000_000,
    limits: { max_pods: mostPods, daily_usd: 1e9 },
    look: () => ({ usdPerHour: 100 / 3 }),
  })
  const lengths: number[] = []
  const remember = async (list: typeof world.list) => {
    world.list = list
    await round()
    lengths.push(JSON.stringify(memory.state).length)
  }
  // Of earlier settings, three deployments in a row; then all of them are out of the list, or only the last.
  for (const image of ['consumer:1', 'consumer:2', 'consumer:3']) {
    world.image = image
    await remember((all) => all)
    await remember((all) => all)
  }
  assert.equal(pods.size, 3 * mostPods)
  await remember(() => [])
  await remember(() => [])
  for (let count = 0; count < 12; count++) await remember((all) => all.slice(count * 10))
  world.image = 'consumer:4'
  for (let count = 0; count < 12; count++) await remember((all) => all.slice(0, 3 * mostPods))
  assert.ok(Math.max(...lengths) > mostCharacters / 2, `${Math.max(...lengths)} characters: the most is among them`)
  assert.ok(Math.max(...lengths) < mostCharacters * 0.8, `${Math.max(...lengths)} characters`)
})
