import type { ErrorEntry } from './entry.ts';

/** Of following an append-only file into the archive. */
export const shipAofErrors = {
  ARCHIVE_NOT_POSSIBLE: {
    when: 'The append-only file of this server cannot be followed: one single file (before Redis 7.0), not on this machine, or another server’s, at the same path.',
    safe: 'Nothing was changed. Backups are taken as before.',
    next: 'Upgrade to Redis 7.0 or Valkey 7.2 or newer, or run the host agent on Redis’ machine; until then instances.NAME.archive: false, and shorten backup.every.',
    retryable: false,
  },
  ARCHIVE_FILES_LEFT: {
    when: 'The server appends to other files than those that are followed: its dir was changed, or its folder was exchanged under it.',
    safe: 'What was archived stays. Until its files are found again, what it writes is in no archive.',
    next: 'Nothing: the server is asked anew where its files are. Where it goes on, look at CONFIG GET dir, and at what of it the agent sees.',
    retryable: true,
  },
  ARCHIVE_TAKEN_OVER: {
    when: 'Another agent has gone on with the archive of this instance from the place at which this one stood.',
    safe: 'What either of them has stored stays as it is and is not mixed. This agent writes nothing more.',
    next: 'Find the other agent (rewind timeline NAME names the server of each timeline) and let one of them end.',
    retryable: false,
  },
  ARCHIVE_FOLLOWED: {
    when: 'Another process on this host follows the same append-only files.',
    safe: 'That one goes on; nothing was changed.',
    next: 'Nothing, where an agent is just being replaced: this is tried again. Otherwise end one of the two.',
    retryable: true,
  },
  ARCHIVE_COUNTS_AS_REPLICA: {
    when: 'An archive by replication is to begin at a Redis with min-replicas-to-write: its link would count as a replica.',
    safe: 'Nothing was changed.',
    next: 'Raise min-replicas-to-write by one and apply with --yes; or archive from the file, with a host agent.',
    retryable: false,
  },
  ARCHIVE_FOREIGN: {
    when: 'The archive under this name is of another instance than its backups.',
    safe: 'Nothing was changed.',
    next: 'Give the instance another name or another repository; two servers never mix in one archive.',
    retryable: false,
  },
  AOF_NOT_ENABLED: {
    when: 'The append-only file of a running server could not be switched on.',
    safe: 'It is off, as it was; the data and the server’s dumps are untouched.',
    next: 'Look into Redis’ log and at the disk and memory of its machine (rewind check NAME), then the same again.',
    retryable: true,
  },
} as const satisfies Record<string, ErrorEntry>;
