import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import type { Stack } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { createApp } from '../../cdk/app.ts'
import { checkStage, type Stage } from '../../cdk/stage.ts'

/** All of it, and nothing of the stages that are deployed. */
export function testStage(changes: Partial<Stage> = {}): Stage {
  const { name = 'testing', ...rest } = changes
  return checkStage(name, {
    region: 'eu-west-1',
    app_origins: ['https://app.example'],
    alarm_email: 'operator@app.example',
    runbook_url: 'https://example.org/runbook',
    pod_identity: 'roles-anywhere',
    api: { requests_per_second: 50, burst: 100, memory_mb: 1024 },
    worker: {
      image: 'registry.example/consumer:1.2.3',
      disk_gb: 20,
      music_model: 'musicgen-small',
      classifier_model: 'clip-vit-base-patch32',
      batch_size: 4,
    },
    scaler: {
      min_pods: 0,
      max_pods: 3,
      seconds_per_picture: 3,
      start_seconds: 150,
      target_seconds: 450,
      cool_down_seconds: 600,
      ready_seconds: 900,
      daily_usd: 10,
      cloud: 'SECURE',
      gpus: ['NVIDIA RTX A4000', 'NVIDIA GeForce RTX 4090'],
      min_cuda: '12.8',
      places: [{ data_center: 'EU-RO-1', volume: 'volume-1' }],
    },
    ...rest,
  })
}

interface Synthesised {
  stack: Stack
  template: Template
}

/** Stacks of which the functions are bundled: none. */
export const withoutBundles = { 'aws:cdk:bundling-stacks': [] }

/** Every stack of the stage with its template, and the functions' bundles if they are wanted. Throws when cdk-nag, or CloudFormation's own rules, find an error. */
export function synthesise(stage: Stage, { bundles = false } = {}) {
  const outdir = mkdtempSync(join(tmpdir(), 'promenade-cdk-'))
  after(() => rmSync(outdir, { recursive: true }))
  const { app, ...stacks } = createApp(stage, { outdir, context: bundles ? {} : withoutBundles })
  app.synth()
  const templates = Object.entries(stacks).map(([name, stack]: [string, Stack]) => [
    name,
    { stack, template: Template.fromStack(stack) },
  ])
  return { outdir, ...(Object.fromEntries(templates) as Record<keyof typeof stacks, Synthesised>) }
}
