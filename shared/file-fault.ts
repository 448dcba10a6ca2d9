import { printable } from '#shared/printable.ts'

const reasons: Record<string, string> = {
  ENOENT: 'no such file or folder',
  ENOTDIR: 'what should be a folder is a file',
  EEXIST: 'there is something else of this name',
  EACCES: 'no permission',
  EPERM: 'no permission',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'a loop of symbolic links',
}

/** One line: which file, what is the matter, and the reason that the system gives. */
export function fileFault(path: string, matter: string, error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException
  return `${printable(path)}: ${matter} (${reasons[code] ?? printable(message)})`
}
