import { fuzzApi } from './fuzz-api.ts'
import { fuzzStack } from './fuzz-stack.ts'
import { hostilePictures } from './hostile-pictures.ts'
import { messageMutator } from './mutate-message.ts'
import { pictureMutator } from './mutate-picture.ts'
import { createFindings, type Findings } from './outcome.ts'
import { createMessageReader } from './read-messages.ts'
import { withPictureReader } from './read-pictures.ts'

const subject = { bucket: 'pictures', key: 'uploads/good one.jpg', etag: 'e1', size: 3 }

/** A range of case numbers. */
export interface Cases {
  from: number
  count: number
}

/** Numbers of one seed. `stack`: so many of each kind go through the local stack besides. */
export interface FuzzOptions {
  seed: number
  pictures: Cases
  messages: Cases
  requests: Cases
  stack: number
  /** Also the pictures made by hand. */
  hostile: boolean
}

/** Gives mutated pictures, messages and requests to what reads them; memory in bytes. */
export async function fuzz({ seed, pictures, messages, requests, stack, hostile }: FuzzOptions) {
  const findings = createFindings(seed)
  const makePicture = await pictureMutator(seed)
  const peakMemory = await withPictureReader(async (read, peak) => {
    for (const number of numbers(pictures)) {
      const picture = makePicture(number)
      findings.add(picture, await read(picture.bytes))
    }
    const mutated = await peak()
    if (hostile) await readHostile(findings, read)
    return { mutated, all: await peak() }
  })
  const read = createMessageReader(subject.bucket)
  const makeMessage = messageMutator(seed, subject)
  for (const number of numbers(messages)) {
    const message = makeMessage(number)
    findings.add(message, await read(message.body))
  }
  if (stack > 0) {
    const some = (cases: Cases) => numbers({ ...cases, count: Math.min(cases.count, stack) })
    const about = (it: typeof subject) => some(messages).map(messageMutator(seed, it))
    await fuzzStack(some(pictures).map(makePicture), about, findings)
  }
  if (requests.count > 0) await fuzzApi({ seed, numbers: numbers(requests) }, findings)
  return { findings, peakMemory }
}

async function readHostile(findings: Findings, read: Parameters<Parameters<typeof withPictureReader>[0]>[0]) {
  for (const [number, [origin, { make, result: expected }]] of Object.entries(hostilePictures).entries()) {
    const outcome = await read(await make())
    const fault = outcome.result === expected ? outcome.fault : `${outcome.result} instead of ${expected}`
    findings.add({ kind: 'picture', number, group: 'hostile', origin }, { ...outcome, ...(fault && { fault }) })
  }
}

function numbers({ from, count }: Cases): number[] {
  return Array.from({ length: count }, (_, index) => from + index)
}
