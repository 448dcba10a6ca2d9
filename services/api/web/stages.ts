import type { Result } from '../client/client.ts'

const allStages = ['queued', 'fetching', 'classifying', 'composing', 'storing'] as const

export type Stage = (typeof allStages)[number]

/** The stages of work that has not ended, in their order, and how far each is. */
export function stagesOf({ status, stage, take = 0 }: Pick<Result, 'status' | 'stage' | 'take'>) {
  // What is known of the picture since its first take is not sought again.
  const stages = allStages.filter((each) => take === 0 || each === stage || !/^(fetch|classify)ing$/.test(each))
  // The first moments of the work have no stage.
  const current = status === 'queued' ? 0 : Math.max(1, stages.indexOf(stage ?? stages[1]!))
  return stages.map((name, index) => ({
    name,
    state: index < current ? ('done' as const) : index === current ? ('current' as const) : ('ahead' as const),
  }))
}
