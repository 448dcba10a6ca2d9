import {
  bigint,
  boolean,
  customType,
  datetime,
  double,
  float,
  index,
  int,
  mysqlTable,
  primaryKey,
  unique,
} from 'drizzle-orm/mysql-core'
import type { ErrorCode } from '../contract/error-code.ts'
import type { FinalState, JobStage, JobState } from '../contract/result.ts'

// Every text column names its collation, so that comparisons do not depend on a server's or a database's default.

/** Ids, digests, names and addresses: ASCII, compared byte for byte. */
const ascii = customType<{ data: string; config: { length: number }; configRequired: true }>({
  dataType: (config) => `varchar(${config.length}) character set ascii collate ascii_bin`,
})

/** Hexadecimal of one length. */
const hex = customType<{ data: string; config: { length: number }; configRequired: true }>({
  dataType: (config) => `char(${config.length}) character set ascii collate ascii_bin`,
})

const text = customType<{ data: string; config: { length: number }; configRequired: true }>({
  dataType: (config) => `varchar(${config.length}) character set utf8mb4 collate utf8mb4_bin`,
})

/** Text kept as its bytes of UTF-8: an S3 key, which no collation may fold, pad or trim. */
const utf8Bytes = customType<{ data: string; driverData: Buffer; config: { length: number }; configRequired: true }>({
  dataType: (config) => `varbinary(${config.length})`,
  toDriver: (value) => Buffer.from(value),
  fromDriver: (value) => value.toString(),
})

const longText = customType<{ data: string }>({
  dataType: () => 'mediumtext character set utf8mb4 collate utf8mb4_bin',
})

const float32Array = customType<{ data: Float32Array; driverData: Buffer }>({
  dataType: () => 'blob',
  toDriver: (value) => Buffer.from(value.buffer, value.byteOffset, value.byteLength),
  fromDriver: (value) => new Float32Array(new Uint8Array(value).buffer),
})

/** UTC, always by the database's clock unless a column says otherwise. */
const time = (name: string) => datetime(name, { fsp: 3, mode: 'date' })
const unsigned = (name: string) => int(name, { unsigned: true })

/** One row per finished take: the picture's genre and styles, and its music. */
export const artAnalysis = mysqlTable('art_analysis', {
  id: bigint('id', { mode: 'number' }).primaryKey().autoincrement(),
  genre: text('genre', { length: 100 }).notNull(),
  style1: text('style1', { length: 100 }).notNull(),
  style2: text('style2', { length: 100 }).notNull(),
  style3: text('style3', { length: 100 }).notNull(),
  style4: text('style4', { length: 100 }).notNull(),
  style5: text('style5', { length: 100 }).notNull(),
  /** 0 to 1, descending. */
  score1: float('score1').notNull(),
  score2: float('score2').notNull(),
  score3: float('score3').notNull(),
  score4: float('score4').notNull(),
  score5: float('score5').notNull(),
  imageUrl: ascii('image_url', { length: 4096 }).notNull(),
  musicUrl: ascii('music_url', { length: 4096 }).notNull(),
  createdAt: time('created_at').notNull(),
  jobId: hex('job_id', { length: 32 }).notNull().unique('art_analysis_job_id'),
  imageKey: utf8Bytes('image_key', { length: 1024 }).notNull(),
  imageVersion: utf8Bytes('image_version', { length: 1024 }).notNull(),
  take: unsigned('take').notNull(),
  genreScore: float('genre_score').notNull(),
  prompt: text('prompt', { length: 2000 }).notNull(),
  seed: unsigned('seed').notNull(),
  durationSeconds: double('duration_seconds').notNull(),
  sampleRate: unsigned('sample_rate').notNull(),
  /** Of the WAV as stored. */
  musicBytes: unsigned('music_bytes').notNull(),
  musicSha256: hex('music_sha256', { length: 64 }).notNull(),
  musicModel: text('music_model', { length: 200 }).notNull(),
  musicModelRevision: text('music_model_revision', { length: 100 }).notNull(),
  classifierModel: text('classifier_model', { length: 200 }).notNull(),
  classifierModelRevision: text('classifier_model_revision', { length: 100 }).notNull(),
  queueMs: unsigned('queue_ms').notNull(),
  fetchMs: unsigned('fetch_ms').notNull(),
  classifyMs: unsigned('classify_ms').notNull(),
  generateMs: unsigned('generate_ms').notNull(),
  storeMs: unsigned('store_ms').notNull(),
  totalMs: unsigned('total_ms').notNull(),
  /** The classifier's picture embedding: float32, little-endian. */
  embedding: float32Array('embedding'),
})

/** The genre and the five styles of each row of `art_analysis`, to list by: the newest of one name lie together. */
export const artLabels = mysqlTable(
  'art_labels',
  {
    kind: ascii('kind', { length: 8 }).$type<'genre' | 'style'>().notNull(),
    name: text('name', { length: 100 }).notNull(),
    /** The job's. */
    createdAt: time('created_at').notNull(),
    jobId: hex('job_id', { length: 32 }).notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.kind, table.name, table.createdAt, table.jobId] }),
    index('art_labels_job').on(table.jobId),
  ],
)

/** One row per take on one image version; its state is the truth about the work. */
export const jobs = mysqlTable(
  'jobs',
  {
    id: hex('id', { length: 32 }).primaryKey(),
    bucket: ascii('bucket', { length: 63 }).notNull(),
    imageKey: utf8Bytes('image_key', { length: 1024 }).notNull(),
    /** Stands for bucket and key in the index. */
    keyDigest: hex('key_digest', { length: 64 }).notNull(),
    version: utf8Bytes('version', { length: 1024 }).notNull(),
    versionId: utf8Bytes('version_id', { length: 1024 }),
    etag: utf8Bytes('etag', { length: 512 }).notNull(),
    take: unsigned('take').notNull(),
    /** What a take was ordered with; the first take has none of it. */
    orderedPrompt: text('ordered_prompt', { length: 2000 }),
    orderedSeed: unsigned('ordered_seed'),
    orderedSeconds: double('ordered_seconds'),
    /** Digest of who ordered the take and of their Idempotency-Key. */
    orderKey: hex('order_key', { length: 64 }),
    /** Digest of what was ordered by that key. */
    orderDigest: hex('order_digest', { length: 64 }),
    sizeBytes: bigint('size_bytes', { mode: 'number', unsigned: true }).notNull(),
    sequencer: hex('sequencer', { length: 64 }).notNull(),
    state: ascii('state', { length: 16 }).$type<JobState>().notNull(),
    stage: ascii('stage', { length: 16 }).$type<JobStage>(),
    /** 0 to 1. */
    progress: float('progress').notNull(),
    etaSeconds: float('eta_seconds'),
    /** Tries begun and not given back by a shutdown. */
    attempt: unsigned('attempt').notNull(),
    /** The last holder's, kept when the job ends so that a repeated write is known for what it is. */
    leaseToken: ascii('lease_token', { length: 64 }),
    leaseExpiresAt: time('lease_expires_at'),
    /** Of the last try; the job's own outcome only when it failed. */
    errorCode: ascii('error_code', { length: 64 }).$type<ErrorCode>(),
    errorMessage: text('error_message', { length: 500 }),
    errorRetryable: boolean('error_retryable'),
    /** By S3's clock. */
    uploadedAt: time('uploaded_at'),
    createdAt: time('created_at').notNull(),
    startedAt: time('started_at'),
    finishedAt: time('finished_at'),
    updatedAt: time('updated_at').notNull(),
  },
  (table) => [
    // The newest of a take is the first of its entries, however many versions and takes a key has.
    index('jobs_newest').on(table.keyDigest, table.take, table.sequencer, table.createdAt),
    // Failures are counted from it alone.
    index('jobs_state').on(table.state, table.updatedAt, table.errorCode),
    // To list by.
    index('jobs_created').on(table.createdAt, table.id),
    index('jobs_state_created').on(table.state, table.createdAt, table.id),
    index('jobs_image_key').on(table.imageKey, table.createdAt),
    unique('jobs_order_key').on(table.orderKey),
  ],
)

/** A consumer's sign of life. It goes when the consumer stops; that of one that was killed stays for a day. */
export const consumers = mysqlTable(
  'consumers',
  {
    id: hex('id', { length: 32 }).primaryKey(),
    version: ascii('version', { length: 50 }).notNull(),
    startedAt: time('started_at').notNull(),
    seenAt: time('seen_at').notNull(),
    state: ascii('state', { length: 16 }).$type<'running' | 'stopping'>().notNull(),
    inWork: unsigned('in_work').notNull(),
    slots: unsigned('slots').notNull(),
    /** Codes, separated by commas. */
    outages: ascii('outages', { length: 200 }).notNull(),
    /** Separated by commas. */
    executionProviders: ascii('execution_providers', { length: 200 }).notNull(),
    musicModel: text('music_model', { length: 200 }).notNull(),
    musicModelRevision: text('music_model_revision', { length: 100 }).notNull(),
    classifierModel: text('classifier_model', { length: 200 }).notNull(),
    classifierModelRevision: text('classifier_model_revision', { length: 100 }).notNull(),
    /** Made since its start. */
    clips: unsigned('clips').notNull(),
    realTimeFactor: double('real_time_factor'),
    /** Of the message received last, when it was received. */
    receivedAgeSeconds: double('received_age_seconds'),
  },
  (table) => [index('consumers_seen').on(table.seenAt)],
)

/** A job that has ended, written together with its end, until it is known which endpoints are to hear of it. */
export const webhookEvents = mysqlTable('webhook_events', {
  id: bigint('id', { mode: 'number' }).primaryKey().autoincrement(),
  jobId: hex('job_id', { length: 32 }).notNull(),
  state: ascii('state', { length: 16 }).$type<FinalState>().notNull(),
  createdAt: time('created_at').notNull(),
})

/** What one endpoint is still to hear; the row goes when it has. */
export const webhookDeliveries = mysqlTable(
  'webhook_deliveries',
  {
    id: bigint('id', { mode: 'number' }).primaryKey().autoincrement(),
    eventId: bigint('event_id', { mode: 'number' }).notNull(),
    /** Digest of the endpoint's address. */
    endpoint: hex('endpoint', { length: 64 }).notNull(),
    payload: longText('payload').notNull(),
    /** That have failed. */
    attempts: unsigned('attempts').notNull(),
    /** While one tries it: when the delivery is free again should that one never say how it went. */
    nextAttemptAt: time('next_attempt_at').notNull(),
    lastError: text('last_error', { length: 500 }),
    createdAt: time('created_at').notNull(),
  },
  (table) => [
    unique('webhook_deliveries_event').on(table.eventId, table.endpoint),
    // One endpoint's backlog is nothing that another's search goes through.
    index('webhook_deliveries_due').on(table.endpoint, table.nextAttemptAt),
    // To find what no endpoint's search has found for days.
    index('webhook_deliveries_overdue').on(table.nextAttemptAt),
  ],
)
