import type { ErrorEntry } from './entry.ts';

export const restoreErrors = {
  RESTORE_INPUT_INVALID: {
    when: 'What a restore was asked for cannot be understood: a field has a value that is none of those accepted.',
    safe: 'Nothing was looked at and nothing was changed.',
    next: 'Ask again with one of the accepted values: rewind restore --help',
    retryable: false,
  },
  RESTORE_PROGRESS_INVALID: {
    when: 'What the repository has of a restore that is under way cannot be read: how far another agent came.',
    safe: 'Nothing was changed by this attempt. Keys that were put before stay.',
    next: 'Remove the objects under restores/NAME/RESTORE/progress-1/ and let the restore begin anew: keys that are there are kept.',
    retryable: false,
  },
  RESTORE_NOTHING_PROVEN: {
    when: 'No backup of the instance was proven (or none from before the loss), so none is taken by itself.',
    safe: 'Nothing was changed. Backups that are unproven or flagged stay restorable by their id.',
    next: 'rewind backups NAME --all, then choose one by its id: rewind restore NAME --to BACKUP',
    retryable: false,
  },
  RESTORE_MOMENT_NEEDS_ARCHIVE: {
    when: 'A moment between two backups was asked for; only the append-only archive has it, and the instance has none.',
    safe: 'Nothing was changed.',
    next: 'Choose the backup before or after it by its id: rewind restore NAME --to BACKUP; docs/ARCHIVE.md switches the archive on.',
    retryable: false,
  },
  RESTORE_REFUSED: {
    when: 'A restore cannot be done as it was asked for: the target, its memory, its modules, the size of a value, or who it is.',
    safe: 'Nothing of the target was touched: this is looked at before.',
    next: 'Mend what the message names, or choose another way: --into sandbox or --into DIR always work.',
    retryable: false,
  },
  STAGED_DUMP_DIFFERS: {
    when: 'The dump that the store gives has another SHA-256 than the one that was saved and proven.',
    safe: 'Nothing of the target was touched; the other backups stand.',
    next: 'rewind verify NAME BACKUP says what is wrong with it; restore from another one meanwhile.',
    retryable: true,
  },
  RESTORE_NOT_EQUAL: {
    when: 'After the keys were put back, what the target holds is not what the backup holds.',
    safe: 'The backup is untouched. Where writes were fenced they are fenced still, until a person decides.',
    next: 'Read which keys differ in the report; retry puts them back again, abort leaves everything as it is.',
    retryable: false,
  },
  SAFETY_COPY_NOT_PROVEN: {
    when: 'Before something live is replaced it is backed up, and that backup could not be proven.',
    safe: 'Nothing was replaced.',
    next: 'Mend what the backup says, then retry; or say at the gate that there is nothing to keep.',
    retryable: false,
  },
} as const satisfies Record<string, ErrorEntry>;
