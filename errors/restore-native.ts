import type { ErrorEntry } from './entry.ts';

export const restoreNativeErrors = {
  RESTORE_DIR_NOT_EMPTY: {
    when: 'Restored files were to be written into a folder that holds something else.',
    safe: 'Nothing in that folder was touched.',
    next: 'Give an empty folder, or one that does not exist yet.',
    retryable: false,
  },
  RESTORE_DIR_UNUSABLE: {
    when: 'The folder for restored files is no absolute path, is no folder, or may not be written by the agent’s user.',
    safe: 'Nothing was written.',
    next: 'Give an absolute path that the agent’s user may write to, on the machine of the target’s agent.',
    retryable: false,
  },
  RESTORE_DUMP_DIFFERS: {
    when: 'The dump on this machine has other bytes than the backup’s manifest says.',
    safe: 'What was copied of it was removed again; no file of the server was touched.',
    next: 'Let the step run again, so that the dump is downloaded anew; if it repeats, rewind verify NAME BACKUP',
    retryable: false,
  },
  RESTORE_FILES_NOT_LOADED: {
    when: 'With its configuration the server would not load the files that a restore has placed: another folder or name, or the append-only file is on and not there.',
    safe: 'The server was not started; its former files lie beside in rewind-aside-… and can be put back.',
    next: 'Mend what the message names in redis.conf, or give the configuration that the server is started with.',
    retryable: false,
  },
  RESTORE_SERVER_RUNNING: {
    when: 'Files of a server were to be replaced while it runs: it would write its memory over them.',
    safe: 'No file was touched.',
    next: 'Stop the server by its service first; look what else starts it again.',
    retryable: false,
  },
  RESTORE_PUT_BACK_IMPOSSIBLE: {
    when: 'There is no replacement of files to undo in that folder, or what it set aside is gone.',
    safe: 'Nothing was moved.',
    next: 'Look for rewind-aside-… in the folder: what was there before lies in it, under its own names.',
    retryable: false,
  },
  STREAM_REFUSED: {
    when: 'The whole dataset of a server was to be replaced over a replication link, and that server or dump does not allow it.',
    safe: 'Nothing was changed in the server: this is looked at before it is touched.',
    next: 'Choose another way: keys put back one by one (--into live), or files and a restart.',
    retryable: false,
  },
  STREAM_BROKEN_OFF: {
    when: 'The target did not take the dump to its end: it did not connect, ended, or refused it while it loaded.',
    safe: 'It keeps the data that it had, its settings were put back, and it is a primary again; where it could not be reached, the next step does that first.',
    next: 'Read the reason in the message (and Redis’ log), then let the step run again.',
    retryable: true,
  },
  STREAM_NOT_UNDONE: {
    when: 'Settings that were changed for a restore could not be put back, because the server does not answer or refuses.',
    safe: 'What they were stands in a journal in the agent’s folder; nothing is forgotten.',
    next: 'Let the server be reachable again; the next step, or the agent’s next start, puts them back.',
    retryable: true,
  },
  STREAM_NOT_DURABLE: {
    when: 'The restored data is in memory, but writing it to disk (rewrite of the append-only file, or save) failed.',
    safe: 'The data is whole and served; a restart now would load what was on disk before.',
    next: 'Make room on Redis’ disk, then BGREWRITEAOF (append-only file) or BGSAVE, before anything restarts it.',
    retryable: true,
  },
  RESTORED_SANDBOX_REFUSED: {
    when: 'The server of a sandbox that should stay up would not load the dump, or the data is larger than sandbox.maxMemory.',
    safe: 'It was stopped and its folder removed; the backup and every instance are as they were.',
    next: 'Read the server’s own words in the message: rewind verify NAME BACKUP',
    retryable: false,
  },
} as const satisfies Record<string, ErrorEntry>;
