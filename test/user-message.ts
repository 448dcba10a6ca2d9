/** What no user must read in the message of an error; undefined when all is well. */
export function userMessageFault(message: string): string | undefined {
  if (!message || message.length > 300) return `it has ${message.length} characters`
  if (!/^[ -~]*$/.test(message)) return 'it has more than a line of printable ASCII'
  if (/(^|[\s'"(])\/\w+\/|file:\/\/|node_modules|\bat \S+ \(|arn:|AKIA|\w+:\w+@|127\.0\.0\.1/.test(message)) {
    return 'it tells of our machines'
  }
  return undefined
}
