/**
 * JSON on one line that a terminal can be shown: the control characters that JSON leaves as they are, and those that turn
 * the direction of writing, are escaped. It reads back as the same value.
 */
export function jsonLine(value: unknown): string {
  return escapeControls(JSON.stringify(value))
}

/** For JSON only: inside its strings, where alone such characters can stand. */
export function escapeControls(json: string): string {
  return json.replace(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
