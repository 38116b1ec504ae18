import type { ErrorEntry } from './entry.ts';

const goesOn =
  'What the server acknowledged is counted and stays; no key is half there. Doing the same again goes on from there.';

/** Of keys that are put from a dump straight into a live server. */
export const restoreKeysErrors = {
  RESTORE_KEY_REFUSED: {
    when: 'The live server refused a key of the dump for another reason than that it is there already.',
    safe: goesOn,
    next: "Look up the server's words: `Bad data format` means that it does not know the value's encoding (an older server, the other fork, a missing module). Restore such a dump as commands or as a whole.",
    retryable: false,
  },
  RESTORE_TARGET_FULL: {
    when: 'The live server has no memory left for more keys, or would begin to evict before the limit that was set.',
    safe: goesOn,
    next: 'Raise maxmemory (CONFIG SET maxmemory BYTES) or make room, then let the restore go on; or restore less: --match, --db',
    retryable: false,
  },
  RESTORE_TARGET_REFUSES_WRITES: {
    when: 'The live server takes no writes at present: it is a replica, loads its data, runs a script, or cannot save.',
    safe: goesOn,
    next: "Mend what the server's words name (INFO replication, INFO persistence), then let the restore go on.",
    retryable: true,
  },
  RESTORE_TARGET_FORBIDS: {
    when: "The live server's user may not run a command or write to a key that the restore needs.",
    safe: goesOn,
    next: "Give the configured user `+restore +msetnx +select +exists +info +time +ping +function|load` on all keys: rewind check NAME lists the user's rights",
    retryable: false,
  },
  RESTORE_TARGET_SILENT: {
    when: 'The connection to the live server ended, or it fell silent, while keys were being put.',
    safe: goesOn,
    next: 'Look whether the server runs; the step is tried again by itself and goes on where it was.',
    retryable: true,
  },
  RESTORE_VALUE_TOO_LONG: {
    when: "A value of the dump is longer than the live server's proto-max-bulk-len, so that no command can carry it.",
    safe: goesOn,
    next: 'CONFIG SET proto-max-bulk-len 4gb on the target and go on, or restore the dump as a whole: a file placed, or as a primary.',
    retryable: false,
  },
  RESTORE_FUNCTION_REFUSED: {
    when: 'The live server refused a function library of the dump.',
    safe: 'No key was put before the libraries; the libraries that the server took stay.',
    next: "Look up the server's words; FUNCTION LIST shows what is there. Replace what is there, or leave functions out.",
    retryable: false,
  },
  RESTORE_CURSOR_FOREIGN: {
    when: 'The place to go on from does not belong to this dump.',
    safe: 'Nothing was sent.',
    next: 'Start the restore anew: keys that are there already are kept or replaced as asked.',
    retryable: false,
  },
  RESTORE_KEYS_PROCESS_DIED: {
    when: 'The process that puts keys ended without a result: killed, out of memory, or a fault of its own.',
    safe: goesOn,
    next: 'Run the same again; if it comes back, look at the memory of the machine and at the log around that time.',
    retryable: true,
  },
  RESTORE_KEYS_CANCELLED: {
    when: 'Putting keys was cancelled by its caller.',
    safe: goesOn,
    next: 'Start again when wanted: it goes on where it was.',
    retryable: true,
  },
} as const satisfies Record<string, ErrorEntry>;
