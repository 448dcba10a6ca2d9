import { resolve } from 'node:path'
import { InvalidArgumentError } from 'commander'

/** Reads paths as the user means them: npm has moved to the root, and says in INIT_CWD where it was called. */
export function createPathReader({ INIT_CWD: folder = '.' }: NodeJS.ProcessEnv) {
  return (text: string): string => {
    if (text === '') throw new InvalidArgumentError('It is an empty name.')
    return resolve(folder, text)
  }
}
