import type { ErrorEntry } from './entry.ts';

export const incidentErrors = {
  CRASH_WORLD_CHANGED: {
    when: 'Right before a step of the recovery of a crashed node the copies of the data were asked again, and they are not as the plan was made from: another primary appeared, a copy is gone, or a replica follows that nobody knew of.',
    safe: 'The step was not begun; no server was changed by it.',
    next: 'Make the plan again from what is there now; a workflow does so by itself and shows its gate again.',
    retryable: false,
  },
  CRASH_PROMOTION_REFUSED: {
    when: 'A replica, or the Sentinels, refused to make it the primary, or it had not become one after the time allowed.',
    safe: 'No data was changed: a replica that is promoted keeps what it holds.',
    next: 'Read the words of the server in the message; look at INFO replication of the replica, or SENTINEL MASTER of a Sentinel.',
    retryable: true,
  },
  CRASH_LINK_NOT_UP: {
    when: 'A server was made a replica and is not in sync with its primary after the time allowed.',
    safe: 'The primary and its data are untouched; the replica goes on trying by itself.',
    next: 'Look at master_link_status in INFO replication and at masterauth and masteruser of the replica, then try the step again.',
    retryable: true,
  },
  CRASH_WOULD_START_EMPTY: {
    when: 'A crashed node was to be started, and with its files as they are it would start without data.',
    safe: 'It was not started; its files and its replicas are untouched.',
    next: 'Choose a backup or another copy; or let it start empty where a person says so.',
    retryable: false,
  },
  CRASH_FILES_UNKNOWN: {
    when: 'Files were to be given to a server, and neither the configuration nor a backup says where it keeps them.',
    safe: 'Nothing was stopped and no file was touched.',
    next: 'Name how Redis is started under host.service in rewind.yaml, or restore into a folder and start it by hand.',
    retryable: false,
  },
  INCIDENT_REPORT_INVALID: {
    when: 'An incident report cannot be read, or is not what its place in the repository says.',
    safe: 'Nothing was changed; backups do not depend on reports.',
    next: 'Read report.md beside it, and the history of the workflow that it names.',
    retryable: false,
  },
} as const satisfies Record<string, ErrorEntry>;
