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
} as const satisfies Record<string, ErrorEntry>;
