import type { ErrorEntry } from './entry.ts';

export const temporalErrors = {
  TEMPORAL_UNREACHABLE: {
    when: 'No connection to the Temporal server could be made.',
    safe: 'Backups in the repository are untouched, and running workflows go on when Temporal is back.',
    next: 'Start Temporal (where none is configured `npm start` does), or go without: rewind backup NAME --without-temporal',
    retryable: true,
  },
  TEMPORAL_NO_SEARCH_ATTRIBUTES: {
    when: 'The search attributes that runs are found by are not registered in the namespace and could not be added.',
    safe: 'No workflow was started.',
    next: 'Have an administrator run: temporal operator search-attribute create --name RewindInstance --type Keyword (also RewindPhase, RewindOutcome, RewindBackupId)',
    retryable: false,
  },
  FOLLOW_LOST: {
    when: 'A command that follows a workflow has to let go of it: interrupted, or the connection to Temporal broke.',
    safe: 'The workflow runs on by itself.',
    next: 'temporal workflow result --workflow-id ID',
    retryable: true,
  },
  SCHEDULE_FOREIGN: {
    when: 'A Temporal Schedule of the name that is needed belongs to something else.',
    safe: 'The schedule was not touched.',
    next: 'Give the instance another name, or use a namespace of its own for this deployment.',
    retryable: false,
  },
} as const satisfies Record<string, ErrorEntry>;
