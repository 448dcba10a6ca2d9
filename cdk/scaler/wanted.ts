import type { Pod } from './runpod.ts'
import type { Limits } from './settings.ts'

type Progress = Pick<Pod, 'status' | 'createdAt'>

/** Counts the seconds that each pod has for the work within the target: fewer while it starts, fewer still if it is yet to come. */
export function wantedFor(
  { backlog, pods, now }: { backlog: number; pods: readonly Progress[]; now: number },
  { seconds_per_picture, start_seconds, target_seconds, min_pods, max_pods }: Limits,
): { wanted: number; reason: string } {
  const work = backlog * seconds_per_picture
  // RunPod's clock may be ahead of ours.
  const ageOf = ({ createdAt }: Progress) => Math.max(0, now - createdAt) / 1_000
  const startsIn = (pod: Progress) => (isRunning(pod) ? 0 : Math.max(0, start_seconds - ageOf(pod)))
  const available = pods.reduce((sum, pod) => sum + target_seconds - startsIn(pod), 0)
  const needed =
    work <= available
      ? Math.ceil(work / target_seconds)
      : pods.length + Math.ceil((work - available) / (target_seconds - start_seconds))
  const wanted = Math.min(max_pods, Math.max(min_pods, needed))
  const bound = wanted < needed ? `, at most ${max_pods} allowed` : wanted > needed ? `, at least ${min_pods} kept` : ''
  return { wanted, reason: `${backlog} in the queue take ${needed} pods to be done in ${target_seconds} s${bound}` }
}

export function isRunning({ status }: Pick<Pod, 'status'>): boolean {
  return status === 'RUNNING'
}
