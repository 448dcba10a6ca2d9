import type { Round } from './round.ts'

/** Of the metrics, which alarms and the dashboard name too. */
export const namespace = 'Promenade'

export const metrics = {
  Backlog: 'Count',
  WantedPods: 'Count',
  Pods: 'Count',
  RunningPods: 'Count',
  CreatedPods: 'Count',
  RemovedPods: 'Count',
  PodsWithoutCapacity: 'Count',
  FailedPods: 'Count',
  SpentTodayUsd: 'None',
  CostCapReached: 'Count',
  /** Backlog while no pod works. */
  UnattendedBacklog: 'Count',
} as const

export type MetricName = keyof typeof metrics

/** One line of the log: what was decided and why, of which CloudWatch makes metrics (its embedded metric format). */
export function reportOf(stage: string, now: number, { backlog, decision, ...round }: Round) {
  const { wanted, reason, remove, pods, isCapReached, state } = decision
  const values: Record<MetricName, number> = {
    Backlog: backlog,
    WantedPods: wanted,
    Pods: pods.all,
    RunningPods: pods.running,
    CreatedPods: round.created.length,
    RemovedPods: round.removed.length,
    PodsWithoutCapacity: round.withoutCapacity.pods,
    FailedPods: decision.failed,
    SpentTodayUsd: state.spentUsd,
    CostCapReached: Number(isCapReached),
    UnattendedBacklog: pods.running === 0 ? backlog : 0,
  }
  return {
    _aws: {
      Timestamp: now,
      CloudWatchMetrics: [
        {
          Namespace: namespace,
          Dimensions: [['Stage']],
          Metrics: Object.entries(metrics).map(([Name, Unit]) => ({ Name, Unit })),
        },
      ],
    },
    Stage: stage,
    ...values,
    reason,
    remove,
    created: round.created,
    removed: round.removed,
    awaited: Object.keys(state.orders ?? {}),
    missing: Object.keys(state.missing ?? {}),
    ...(round.withoutCapacity.detail && { capacity: round.withoutCapacity.detail }),
    faults: round.faults,
  }
}
