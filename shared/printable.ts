/** For a terminal: what a file's name may hold to move the cursor or to feign another line is shown as a question mark. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, '?')
}
