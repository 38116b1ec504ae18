import type { ErrorEntry } from './entry.ts';

const untouched = 'The file was only read; Redis and the repository are as they were.';

export const rdbErrors = {
  RDB_NOT_A_DUMP: {
    when: 'The file does not begin with the magic of an RDB dump (REDIS or VALKEY and a version).',
    safe: untouched,
    next: 'Look at what the path names: head -c 9 FILE prints REDIS0011 or the like for a dump.',
    retryable: false,
  },
  RDB_VERSION_UNKNOWN: {
    when: 'The dump has a format version that this reader does not know.',
    safe: untouched,
    next: 'Use a newer redis-rewind; until then such a backup is kept as unproven.',
    retryable: false,
  },
  RDB_TYPE_UNKNOWN: {
    when: 'The dump holds an object type or an opcode whose length cannot be known, so nothing after it can be read.',
    safe: untouched,
    next: 'Restore such a dump as a whole (native load or replication); its single keys cannot be cut out.',
    retryable: false,
  },
  RDB_TRUNCATED: {
    when: 'The dump ends in the middle of a key, or before its end mark and checksum.',
    safe: untouched,
    next: 'Take a new backup; if it comes back, look at the free space of the disk and the log of the Redis server.',
    retryable: false,
  },
  RDB_CORRUPT: {
    when: 'The bytes at the given offset cannot be what a server wrote.',
    safe: untouched,
    next: 'Run redis-check-rdb FILE for a second opinion, and take a new backup.',
    retryable: false,
  },
  RDB_CHECKSUM_WRONG: {
    when: 'The CRC-64 at the end of the dump does not fit its bytes.',
    safe: untouched,
    next: 'Take a new backup, and look for a failing disk or memory: bytes changed after Redis wrote them.',
    retryable: false,
  },
  RDB_TRAILING_BYTES: {
    when: 'Bytes follow the end of the dump.',
    safe: untouched,
    next: 'Something appended to the file or the copy mixed two saves: take a new backup.',
    retryable: false,
  },
  RDB_STRING_TOO_LONG: {
    when: 'A key or a name in the dump is longer than a server accepts, so it is not held in memory.',
    safe: untouched,
    next: 'Run redis-check-rdb FILE: a damaged length looks like this.',
    retryable: false,
  },
  RDB_READ_FAILED: {
    when: 'The dump could not be opened or read.',
    safe: untouched,
    next: 'Look at the path, its permissions and the disk, then run the same again.',
    retryable: true,
  },
  RDB_READER_DIED: {
    when: 'The process that reads a dump ended without a result: killed, out of memory, or a fault of its own.',
    safe: untouched,
    next: 'Run the same again; if it comes back, look at the memory of the machine and at the log around that time.',
    retryable: true,
  },
  RDB_CANCELLED: {
    when: 'Reading the dump was cancelled by its caller.',
    safe: untouched,
    next: 'Nothing is wrong with the dump; start again when wanted.',
    retryable: true,
  },
} as const satisfies Record<string, ErrorEntry>;
