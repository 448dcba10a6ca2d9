/** The checkpoint cannot be built from: a file is missing or broken, or is of an architecture that is not known here. */
export class CheckpointError extends Error {
  override name = 'CheckpointError'
}
