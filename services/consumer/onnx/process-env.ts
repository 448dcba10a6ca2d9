const mebibyte = 2 ** 20

/**
 * What a process that runs ONNX Runtime is started with, each unless set before. The allocator's settings are of glibc,
 * others pass them over: weights lie on huge pages, memory that was freed is kept for the next step instead of being given back
 * and claimed again, and the thousands of small claims of a step, of up to a kilobyte each,
 * are answered from a list of free ones.
 */
export const onnxProcessEnv = {
  // Else it tells Microsoft what it runs on, and keeps a log of that in the temporary folder.
  ORT_DISABLE_TELEMETRY: '1',
  GLIBC_TUNABLES: [
    'glibc.malloc.hugetlb=1',
    // The largest that glibc takes; setting one of these two stops it from adapting both.
    `glibc.malloc.mmap_threshold=${32 * mebibyte}`,
    `glibc.malloc.trim_threshold=${1024 * mebibyte}`,
    'glibc.malloc.tcache_count=2000',
  ].join(':'),
}
