import type { ErrorEntry } from './entry.ts';

/** Of leaving one command out of what was written. */
export const flushReplayErrors = {
  ARCHIVE_BEHIND: {
    when: 'What was written last is not in the archive within the time that it is waited for: nobody ships it, or the store does not take it.',
    safe: 'Nothing was changed. Nothing is replayed while a write that was acknowledged could be missing.',
    next: 'rewind status NAME says how far the archive is; or choose keep-live or take-backup at the gate.',
    retryable: false,
  },
  ARCHIVE_NOT_CONTINUED: {
    when: 'What was archived after a moment does not follow from it: a promotion, a restore or a start from an older file lies between.',
    safe: 'Nothing was changed.',
    next: 'Choose keep-live or take-backup at the gate; rewind timeline NAME shows both timelines.',
    retryable: false,
  },
  FLUSH_REPLAY_NOTHING_TO_OMIT: {
    when: 'Everything but a destructive command was to be replayed, and the archive has none behind the moment.',
    safe: 'Nothing was changed.',
    next: 'Choose keep-live or take-backup at the gate; rewind timeline NAME shows the destructive commands that it knows of.',
    retryable: false,
  },
  FLUSH_REPLAY_TOO_SCATTERED: {
    when: 'The deletes that were to be left out of a replay stand in too many places between other writes.',
    safe: 'Nothing was changed.',
    next: 'Choose keep-live at the gate: what is missing comes back, what was written since stays.',
    retryable: false,
  },
  FLUSH_REPLAY_MARK_REFUSED: {
    when: 'Redis refused the mark behind which nothing was written: it is full, refuses writes, or wants replicas.',
    safe: 'Nothing was changed.',
    next: 'Mend what the message says (MISCONF, OOM, NOREPLICAS), or choose keep-live or take-backup at the gate.',
    retryable: false,
  },
} as const satisfies Record<string, ErrorEntry>;
