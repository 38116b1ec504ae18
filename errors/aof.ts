import type { ErrorEntry } from './entry.ts';

const untouched = 'The file was only read; Redis and the repository are as they were.';

export const aofErrors = {
  AOF_TRUNCATED: {
    when: 'An append-only file ends in the middle of a command or of a transaction.',
    safe: untouched,
    next: 'Copy the file before any start of Redis, which cuts it off; then: rewind runbook data-corruption NAME',
    retryable: false,
  },
  AOF_CORRUPT: {
    when: 'The bytes at the given offset of an append-only file cannot be what a server wrote.',
    safe: untouched,
    next: 'Copy the file before any start of Redis or redis-check-aof --fix; then: rewind runbook data-corruption NAME',
    retryable: false,
  },
  AOF_MANIFEST_INVALID: {
    when: 'The manifest of an append-only directory has a line that a server would not write.',
    safe: untouched,
    next: 'Copy the directory before any start of Redis; then: rewind runbook data-corruption NAME',
    retryable: false,
  },
  AOF_READ_FAILED: {
    when: 'An append-only file could not be opened or read.',
    safe: untouched,
    next: 'Look at the path, its permissions and the disk, then run the same again.',
    retryable: true,
  },
  AOF_CANCELLED: {
    when: 'Reading an append-only file was cancelled by its caller.',
    safe: untouched,
    next: 'Nothing is wrong with the file; start again when wanted.',
    retryable: true,
  },
} as const satisfies Record<string, ErrorEntry>;
