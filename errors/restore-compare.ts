import type { ErrorEntry } from './entry.ts';

export const restoreCompareErrors = {
  COMMANDS_CANNOT_SAY: {
    when: 'A value of the dump cannot be said in write commands to a server that does not take it as it stands in the dump.',
    safe: 'The dump was only read; keys that were sent before stay where they are.',
    next: 'Restore onto a server of the dump’s own fork and version or newer, or leave such keys out (--match).',
    retryable: false,
  },
  COMPARE_DIED: {
    when: 'The process that compares a server with a dump, or two sides of a diff, ended without a result.',
    safe: 'It only reads; what was compared before is kept, and the same call goes on from there.',
    next: 'Run the same again; if it comes back, look at the memory of the machine and at the log around that time.',
    retryable: true,
  },
  COMPARE_REFUSED: {
    when: 'The server refused a command that only reads, so its keys could not be compared.',
    safe: 'Nothing was changed; a comparison only reads.',
    next: 'Give the user of redis-rewind the right to run the command that is named (ACL SETUSER), then run the same again.',
    retryable: false,
  },
  DIFF_SIDES: {
    when: 'The two sides of a diff are not two of: the id of a backup, a moment, latest, live.',
    safe: 'Nothing was read or changed.',
    next: 'Name them: rewind diff NAME BACKUP live. rewind backups NAME lists the ids.',
    retryable: false,
  },
} as const satisfies Record<string, ErrorEntry>;
