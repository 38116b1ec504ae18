import type { ErrorEntry } from './entry.ts';

/** Of the append-only archive as it stands in the repository. */
export const archiveErrors = {
  ARCHIVE_RECORD_INVALID: {
    when: 'A timeline, a base or an event of the archive cannot be read: damaged, foreign, or of a newer version.',
    safe: 'Nothing was changed. What does not rest on this object can still be restored.',
    next: 'Look at the object that the message names; prove what the rest is worth: rewind verify NAME --archive',
    retryable: false,
  },
  ARCHIVE_SEGMENT_DAMAGED: {
    when: 'A segment of the archive is not what was stored: its header or its bytes are damaged.',
    safe: 'Nothing was changed. Moments before the segment, and from the next base on, can still be restored.',
    next: 'Take a moment on either side of it: rewind timeline NAME; look why the store lost it.',
    retryable: false,
  },
  ARCHIVE_EMPTY: {
    when: 'A moment was asked for, and the archive of the instance has none: nothing was archived yet, or not a single base.',
    safe: 'Nothing was changed.',
    next: 'rewind backups NAME shows what else there is; rewind check NAME says why nothing is archived.',
    retryable: false,
  },
  ARCHIVE_CHAIN_BROKEN: {
    when: 'The archive does not go on where it should: a segment is missing, in another order, or of another server.',
    safe: 'Nothing was changed. Moments before that place, and from the next base on, can still be restored.',
    next: 'Take a moment on either side of it: rewind timeline NAME; look why the store lost it.',
    retryable: false,
  },
  ARCHIVE_BASE_DIFFERS: {
    when: 'The store gives other bytes for a base of the archive than were stored.',
    safe: 'Nothing was changed. Moments from the next base on, and those of an earlier one, can still be restored.',
    next: 'rewind verify NAME --archive says what else is wrong; take a moment that rests on another base.',
    retryable: false,
  },
  ARCHIVE_MOMENT_IN_GAP: {
    when: 'The moment that was asked for lies where nothing was archived: in a gap, before the first base or behind the end.',
    safe: 'Nothing was changed.',
    next: 'Take one of the nearest moments that the message names, or draw them all: rewind timeline NAME',
    retryable: false,
  },
  ARCHIVE_NOTHING_DESTRUCTIVE: {
    when: 'The state before a flush was asked for, and the archive knows of no destructive command.',
    safe: 'Nothing was changed.',
    next: 'Take a time or a position instead: rewind timeline NAME',
    retryable: false,
  },
  ARCHIVE_OMISSION_INVALID: {
    when: 'What is to be left out of a replay is not one whole command or transaction of the archive.',
    safe: 'Nothing was changed.',
    next: 'Take the positions as rewind timeline NAME --json prints them.',
    retryable: false,
  },
  ARCHIVE_MOMENT_REFUSED: {
    when: 'A moment was laid down as the archive has it, and no server of ours starts from it.',
    safe: 'Nothing was changed; what was laid down is removed.',
    next: 'Read the server’s own words in the message; take another moment, or give the sandbox a server that can: rewind timeline NAME',
    retryable: false,
  },
} as const satisfies Record<string, ErrorEntry>;
