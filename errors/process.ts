import type { ErrorEntry } from './entry.ts';

export const processErrors = {
  PROGRAM_NOT_FOUND: {
    when: 'A program that was to be started is not there, or may not be executed.',
    safe: 'Nothing was started.',
    next: 'Correct the path that the message names, or install the program; in a checkout `node scripts/bootstrap/main.mjs --for start` fetches it.',
    retryable: false,
  },
  PROGRAM_NOT_STARTED: {
    when: 'A program was found but ended, or never became ready, right after it was started.',
    safe: 'It was stopped again, and its temporary folder was removed.',
    next: 'Read the last lines of its log in the message; free the memory, disk or port that it names, and run again.',
    retryable: true,
  },
  PART_UNAVAILABLE: {
    when: 'A part that the bootstrap has to provide (Temporal, Redis, an S3 server) is not on this machine.',
    safe: 'Nothing was started.',
    next: 'In a checkout run `node scripts/bootstrap/main.mjs --for start` and do what its last lines say; elsewhere install the program that the message names.',
    retryable: false,
  },
  STEP_STILL_RUNNING: {
    when: 'A step was given out again because its worker was silent, and in that worker the earlier attempt does not end.',
    safe: 'The new attempt has done nothing; the earlier one may still do its work.',
    next: 'The step is tried again by itself. If it repeats, restart the worker of that role: the step goes on where it was.',
    retryable: true,
  },
  STATE_LOCKED: {
    when: 'Another redis-rewind that is alive works in the same state folder.',
    safe: 'The other one goes on undisturbed; nothing of its state was read or changed.',
    next: 'Use the one that runs, or end it (its process id stands in the message), or set REWIND_HOME to another folder.',
    retryable: false,
  },
} as const satisfies Record<string, ErrorEntry>;
