import type { ErrorEntry } from './entry.ts';

export const backupErrors = {
  PREFLIGHT_REFUSED: {
    when: 'A backup cannot work as things stand: role, topology, disk or rights.',
    safe: 'No save was started; Redis is as it was. Earlier backups stand.',
    next: 'Mend what the message names, then: rewind backup NAME',
    retryable: false,
  },
  SAVE_FAILED: {
    when: 'Redis ended a background save with an error, or could not fork for one.',
    safe: 'The last good dump is still in place; earlier backups stand.',
    next: 'Read the reason in Redis’ log (disk full and memory for the fork are the usual ones): rewind check NAME',
    retryable: false,
  },
  SAVE_LOST: {
    when: 'The save that was started ended without leaving its dump: the server restarted, or the child was killed (FLUSHALL with save points does that).',
    safe: 'Nothing of it was stored; earlier backups stand. A new save is started by itself, a few times.',
    next: 'If it repeats: look in Redis’ log for what kills the saves.',
    retryable: false,
  },
  DUMP_NOT_FRESH: {
    when: 'The dump file beside the agent is not the one that was just saved: it is older, or Redis writes elsewhere.',
    safe: 'Nothing was stored; earlier backups stand.',
    next: 'If the agent does not run on Redis’ host, leave `host:` out of the configuration: the backup is then taken by replication.',
    retryable: false,
  },
  DUMP_JOINED: {
    when: 'A dump that came by replication was begun before it was asked for, for another replica.',
    safe: 'It was removed again; earlier backups stand.',
    next: 'It is tried again by itself, as soon as that other transfer has ended.',
    retryable: true,
  },
  PIN_LOST: {
    when: 'The pinned dump is gone: the agent that held its descriptor ended, or somebody removed the link.',
    safe: 'Nothing half-made is listed; a new save is started by itself.',
    next: 'Run the agent as Redis’ user, so that it can hard-link the dump and survive its own restarts.',
    retryable: false,
  },
  DISK_FULL: {
    when: 'No room is left on a disk that the step must write to.',
    safe: 'What was half-written was removed; earlier backups stand.',
    next: 'Make room on the named disk, then: rewind backup NAME',
    retryable: false,
  },
  IDENTITY_REFUSED: {
    when: 'The server answering under this name is not the one whose backups are in the repository.',
    safe: 'Nothing was stored under the name; the backups of the first server are untouched.',
    next: 'If this server rightly takes the name over: rewind adopt NAME. If not, give it a name of its own.',
    retryable: false,
  },
  INSTANCE_BUSY: {
    when: 'Another workflow owns this instance: one at a time may change it or its backups.',
    safe: 'This run ended at once and changed nothing.',
    next: 'Wait for the named workflow, or end it: temporal workflow cancel -w ID',
    retryable: false,
  },
  POLICY_MISMATCH: {
    when: 'The agent’s configuration of this instance differs from the one that the workflow was started with.',
    safe: 'The agent did nothing.',
    next: 'Give all roles the same rewind.yaml, then restart the worker that has the older one.',
    retryable: false,
  },
  BACKUP_CONTRADICTED: {
    when: 'A check contradicted the backup: what is stored is not what Redis held.',
    safe: 'It is kept under failed/ for inspection and can never be restored; earlier backups stand.',
    next: 'Read the named check, then take another: rewind backup NAME. rewind backups NAME --all lists the failed one.',
    retryable: false,
  },
  BACKUP_UNKNOWN: {
    when: 'No backup of this id is in the catalogue of the instance.',
    safe: 'Nothing was changed.',
    next: 'List what there is: rewind backups NAME --all',
    retryable: false,
  },
  BACKUP_UNUSABLE: {
    when: 'A backup is in the catalogue but cannot be used: a check contradicted it, its dump is gone, or its manifest cannot be read.',
    safe: 'Nothing was changed; other backups stand.',
    next: 'Take another one: rewind backups NAME',
    retryable: false,
  },
  AGENT_SILENT: {
    when: 'No worker took a step from the task queue of a role in time: the process is not running or cannot reach Temporal.',
    safe: 'Nothing was changed by the step that nobody took; earlier backups stand.',
    next: 'Start the worker that is named, then run the backup again: rewind backup NAME',
    retryable: false,
  },
} as const satisfies Record<string, ErrorEntry>;
