import type { ErrorEntry } from './entry.ts';

export const sandboxErrors = {
  SANDBOX_NO_SERVER: {
    when: 'None of the sandbox’s servers can be run: a path is wrong, or the program does not tell its version.',
    safe: 'Backups are stored and listed as unproven; nothing is lost.',
    next: 'Name working programs under sandbox.servers in rewind.yaml, then: rewind verify NAME BACKUP',
    retryable: false,
  },
  SANDBOX_SERVER_ENDED: {
    when: 'The server of the sandbox ended while it loaded or was asked, for a reason that is not the dump.',
    safe: 'The stored backup was not touched.',
    next: 'It is tried again by itself; look at memory and disk of the sandbox’s host if it repeats.',
    retryable: true,
  },
} as const satisfies Record<string, ErrorEntry>;
