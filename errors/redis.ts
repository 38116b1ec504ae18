import type { ErrorEntry } from './entry.ts';

export const redisErrors = {
  REDIS_UNREACHABLE: {
    when: 'No connection to Redis could be made, or it was lost in the middle of a step.',
    safe: 'Nothing was changed in Redis or in the repository.',
    next: 'Look whether the process runs and the address is right: rewind check NAME',
    retryable: true,
  },
  REDIS_REFUSED_LOGIN: {
    when: 'Redis answered that user or password are wrong, or that the user may not run a command that is needed.',
    safe: 'Nothing was changed.',
    next: 'Mend the secret that the configuration names, or the rights of the user: rewind check NAME lists them',
    retryable: false,
  },
  REDIS_LOADING: {
    when: 'Redis is loading its data after a start and answers nothing else yet.',
    safe: 'Nothing was changed; the step is tried again by itself.',
    next: 'Wait for the load to end.',
    retryable: true,
  },
  REDIS_REPLICATION_FORBIDDEN: {
    when: 'A dump was asked for by replication and the user may not run PSYNC or REPLCONF, or the provider took them away.',
    safe: 'Nothing was changed.',
    next: 'ACL SETUSER <user> +psync +replconf +ping +info, or run the agent beside Redis: rewind worker --role host --instance NAME',
    retryable: false,
  },
  REDIS_REPLICA_NOT_IN_SYNC: {
    when: 'The server is a replica whose link to its primary is down or still synchronizing, or a failover is running.',
    safe: 'Nothing was changed; the step is tried again by itself.',
    next: 'Look at master_link_status in INFO replication, or take the backup from the primary: backup.from in the configuration',
    retryable: true,
  },
  REDIS_SAVE_FAILED_FOR_DUMP: {
    when: 'The save that Redis began for the dump could not be started or failed.',
    safe: 'Nothing of this dump was kept.',
    next: "Look into Redis' log for the reason (memory for the fork, disk for the file), then take the backup again.",
    retryable: true,
  },
  REDIS_DUMP_INTERRUPTED: {
    when: 'The connection ended, or Redis fell silent, before the dump was complete.',
    safe: 'Nothing of this dump counts as a backup; the step is tried again by itself.',
    next: "If it happens again look into Redis' log: a failed save, client-output-buffer-limit replica, or repl-timeout with a slow store.",
    retryable: true,
  },
  REDIS_REPLICATION_PROTOCOL: {
    when: "What answers at the address does not speak Redis' replication protocol, or claims a length that cannot be.",
    safe: 'Nothing was changed; nothing of what it sent was kept.',
    next: "Look whether the address is a proxy or a provider's endpoint that hides replication: rewind check NAME",
    retryable: false,
  },
  REDIS_SENTINEL_SILENT: {
    when: 'None of the Sentinels that the configuration names answered where the primary is.',
    safe: 'Nothing was changed; the step is tried again by itself.',
    next: 'Look whether the Sentinels run and are reachable from this machine: sentinel.addresses in the configuration',
    retryable: true,
  },
  REDIS_SENTINEL_UNKNOWN_MASTER: {
    when: 'The Sentinels answer, but watch no primary of the configured name.',
    safe: 'Nothing was changed.',
    next: 'redis-cli -p 26379 SENTINEL MASTERS lists the names; write the right one under sentinel.master',
    retryable: false,
  },
} as const satisfies Record<string, ErrorEntry>;
