import type { InstanceView, Observed } from '../../check/observed.ts';
import type { RedisFacts } from '../../check/redis-facts.ts';
import { healthy, healthyHost, healthyRedis, healthySandbox, seeing } from './observed.ts';

const GB = 1e9;
export const { persistence, topology, memory } = healthyRedis;
export const dump = healthyHost.dump as NonNullable<typeof healthyHost.dump>;
export const mem = healthyHost.memory as NonNullable<typeof healthyHost.memory>;

export const withPersistence = (change: Partial<typeof persistence>, host = {}) =>
  seeing({ redis: { persistence: { ...persistence, ...change } }, host });
export const withTopology = (change: Partial<typeof topology>, observed?: Observed) =>
  seeing({ redis: { topology: { ...topology, ...change } } }, observed);
export const withDump = (change: Partial<typeof dump>) => seeing({ host: { dump: { ...dump, ...change } } });
export const withMemory = (change: Partial<typeof mem>, redis = {}) =>
  seeing({ host: { memory: { ...mem, ...change } }, redis });
export const withView = (change: Partial<InstanceView>): Observed => {
  const observed = healthy();
  return { ...observed, instance: { ...(observed.instance as InstanceView), ...change } };
};
const fence = {
  fenceId: '7d0f',
  owner: { workflowId: 'accidental-flush/orders' },
  fencedAt: '2026-11-24T03:01:07.000Z',
  users: 3,
  ownUser: 'rewind-1f3a9c04',
  ending: false,
  inForce: 'yes',
  writers: [],
} as const;
export const fenced = (change: object = {}, fenceOwners?: Record<string, boolean>): Observed => ({
  ...withView({ fence: { fences: [{ ...fence, ...change }], strays: [] } }),
  fenceOwners,
});
export const withProbe = (change: object): Observed => {
  const observed = healthy();
  return { ...observed, probe: { ...observed.probe, written: { ...observed.probe.written, ...change } } as never };
};
export const withTemporal = (change: object): Observed => {
  const observed = healthy();
  return { ...observed, temporal: { ...observed.temporal, ...change } as never };
};
export const failure = (code: string, message = 'it says.', next = 'mend it') => ({ failure: { code, message, next } });
export const seenFromHere = (): Observed => ({ ...withView({ identity: { judgement: 'refuse' } }), seenBy: 'here' });

/** An instance whose archive is on and whose follower tells this; `false`: none runs. */
export const archived = (
  figures: object | false,
  redis: Partial<typeof persistence> = {},
  version = '7.0.15',
  settings: object | true = true,
): Observed => {
  const observed = healthy({ host: {}, dataClass: 'audit-log', archive: settings });
  const server = { name: 'redis' as const, version };
  const seen = seeing({ redis: { server, persistence: { ...persistence, ...redis } } }, observed);
  const usual = { state: 'following', lagMs: 900, unshippedBytes: 0, dropped: 0 };
  const archive = { running: true, figures: { ...usual, ...figures }, ageMs: 0 } as unknown as Observed['archive'];
  return { ...seen, archive: figures === false ? { running: false } : archive };
};

/** An archive by replication, of a server as it is seen. */
export const streamed = (redis: Partial<RedisFacts>, replicas: string[] = []): Observed => {
  const observed = healthy({ host: {}, dataClass: 'audit-log', archive: { from: 'replication' }, replicas });
  const usual = { state: 'following', lagMs: 900, unshippedBytes: 0, dropped: 0 };
  const archive = { running: true, figures: usual, ageMs: 0 } as unknown as Observed['archive'];
  return { ...seeing({ redis }, observed), archive };
};

/** What is found, and what is to be said of it: the cases of the tests, and the examples of docs/CHECK.md. */
export type FindingCase = [
  what: string,
  observed: Observed,
  code: string,
  severity: string,
  says: RegExp,
  fix: string | RegExp,
];

export const findingCases: FindingCase[] = [
  [
    'no persistence of its own',
    withPersistence({ appendOnly: false }),
    'PERSISTENCE_OFF',
    'warning',
    /since the last backup is lost\.$/,
    'redis-cli -h 10.0.0.5 -p 6379 CONFIG SET appendonly yes && redis-cli -h 10.0.0.5 -p 6379 CONFIG REWRITE',
  ],
  [
    'no persistence and replicas that an empty restart would wipe',
    seeing(
      {
        redis: {
          persistence: { ...persistence, appendOnly: false },
          topology: { ...topology, replicas: [{ address: '10.0.0.6:6379', state: 'online', offset: 1 }] },
        },
      },
      healthy({ host: {}, replicas: ['redis://10.0.0.6:6379'] }),
    ),
    'PERSISTENCE_OFF',
    'warning',
    /wipes its replicas/,
    /appendonly yes/,
  ],
  [
    'no persistence of a cache, which needs none',
    seeing(
      { redis: { persistence: { ...persistence, appendOnly: false } } },
      healthy({ host: {}, dataClass: 'cache' }),
    ),
    'PERSISTENCE_OFF',
    'info',
    /lost/,
    /appendonly yes/,
  ],
  [
    'a last save that failed, with the reason from Redis’ log and writes stopped',
    withPersistence(
      { lastSave: 'err', savePoints: '3600 1' },
      { lastSaveFailure: 'Failed opening the temp RDB file temp-9.rdb for saving: No space left on device' },
    ),
    'LAST_SAVE_FAILED',
    'error',
    /No space left on device\. Until a save succeeds Redis refuses all writes \(MISCONF\)/,
    'rewind backup orders',
  ],
  [
    'an append-only file that cannot be written',
    withPersistence({ lastAppend: 'err' }),
    'APPEND_FAILED',
    'error',
    /refuses writes/,
    'df -h /var/lib/redis',
  ],
  [
    'dumps without a checksum',
    withPersistence({ writesChecksum: false }),
    'CHECKSUM_OFF',
    'warning',
    /every backup stays unproven/,
    /rdbchecksum yes/,
  ],
  [
    'writes that stop when a save fails',
    withPersistence({ savePoints: '3600 1' }),
    'STOPS_WRITES_ON_SAVE_ERROR',
    'info',
    /stops all writes/,
    /stop-writes-on-bgsave-error no/,
  ],
  [
    'a disk that has no room for a dump like the last one',
    withDump({ freeBytes: 0.5 * GB }),
    'DUMP_DISK_FULL',
    'error',
    /500 MB free, the last dump took 1\.00 GB/,
    'df -h /var/lib/redis',
  ],
  [
    'a full disk before the first dump',
    withDump({ freeBytes: 0, last: undefined }),
    'DUMP_DISK_FULL',
    'error',
    /0 B free:/,
    /df/,
  ],
  [
    'a disk with less room than the data takes in memory',
    withDump({ freeBytes: 1.2 * GB }),
    'DUMP_DISK_LOW',
    'warning',
    /may fail/,
    /df/,
  ],
  [
    'a dump folder that the agent cannot read',
    withDump({ readable: false, dir: '/var/lib/my redis' }),
    'DUMP_FOLDER_UNREADABLE',
    'warning',
    /by replication instead/,
    'sudo -u "$(stat -c %U \'/var/lib/my redis\')" rewind worker --role host --instance orders',
  ],
  [
    'a dump that the agent may not read',
    withDump({ last: { sizeBytes: 9, readable: false, linkable: false } }),
    'DUMP_UNREADABLE',
    'error',
    /No backup can be taken/,
    /sudo -u/,
  ],
  [
    'a dump of another user, which may not be linked',
    withDump({ last: { sizeBytes: 9, readable: true, linkable: false } }),
    'DUMP_OF_ANOTHER_USER',
    'info',
    /protected_hardlinks/,
    /sudo -u/,
  ],
  [
    'a repository on the disk that Redis saves to',
    withDump({ holdsRepository: true }),
    'REPOSITORY_ON_REDIS_DISK',
    'warning',
    /the backups are lost with it/,
    /another disk/,
  ],
  [
    'too little memory for the pages that a save copies',
    withMemory({ availableBytes: GB }),
    'FORK_HEADROOM',
    'warning',
    /2\.20 GB of memory and the machine has 1\.00 GB left/,
    /free -h/,
  ],
  [
    'a memory limit of Redis’ service or container that leaves too little for them',
    withMemory({
      availableBytes: 0.5 * GB,
      limit: { group: '/system.slice/redis-server.service', limitBytes: 3 * GB, leftBytes: 0.5 * GB },
    }),
    'FORK_HEADROOM',
    'warning',
    /its control group \/system\.slice\/redis-server\.service may take 3\.00 GB, of which 500 MB are left/,
    /MemoryMax/,
  ],
  [
    'a commit limit that refuses the fork',
    withMemory({ overcommit: 2, commitLeftBytes: GB }),
    'OVERCOMMIT',
    'error',
    /is refused/,
    /sysctl -w vm\.overcommit_memory=1/,
  ],
  ['a kernel that guesses', withMemory({ overcommit: 0 }), 'OVERCOMMIT', 'info', /may refuse/, /sysctl/],
  [
    'huge pages that this server cannot switch off for itself',
    withMemory({ hugePages: 'always' }, { disablesHugePages: undefined }),
    'HUGE_PAGES',
    'warning',
    /copies 2 MB/,
    /transparent_hugepage/,
  ],
  [
    'a clock that is ahead',
    seeing({ redis: { clockSkewMs: 3_600_000 } }),
    'CLOCK_SKEW',
    'warning',
    /1 h ahead of the agent/,
    /timedatectl/,
  ],
  [
    'a clock that is behind',
    seeing({ redis: { clockSkewMs: -90_000 } }),
    'CLOCK_SKEW',
    'warning',
    /1 min 30 s behind/,
    /timedatectl/,
  ],
  [
    'a store’s clock',
    withProbe({ clockSkewMs: 600_000 }),
    'STORE_CLOCK_SKEW',
    'warning',
    /10 min ahead of the writer/,
    /timedatectl/,
  ],
  [
    'a node of a cluster',
    withTopology({ mode: 'cluster' }),
    'CLUSTER_NODE',
    'error',
    /not supported/,
    /take instances\.orders out/,
  ],
  [
    'a Sentinel under url',
    withTopology({ mode: 'sentinel' }),
    'SENTINEL_UNDER_URL',
    'error',
    /is a Sentinel/,
    /sentinel\.addresses/,
  ],
  [
    'a failover under way',
    withTopology({ failover: 'waiting-for-sync' }),
    'FAILOVER_RUNNING',
    'error',
    /failover is running/,
    'rewind check orders',
  ],
  [
    'a replica where a primary is configured',
    withTopology({ role: 'replica', primary: { address: '10.0.0.9:6379', up: true, synchronizing: false } }),
    'ROLE_DIFFERS',
    'error',
    /replica of 10\.0\.0\.9:6379/,
    /the primary \(10\.0\.0\.9:6379\), or set backup\.from: replica/,
  ],
  [
    'a replica that lost its primary',
    withTopology(
      { role: 'replica', primary: { address: '10.0.0.9:6379', up: false, synchronizing: false } },
      healthy({ host: {}, backup: { from: 'replica' } }),
    ),
    'REPLICA_NOT_IN_SYNC',
    'error',
    /master_link_status down/,
    /INFO replication/,
  ],
  [
    'a replica that nobody configured',
    withTopology({ replicas: [{ address: '10.0.0.6:6379', state: 'online', offset: 1 }] }),
    'TOPOLOGY_DIFFERS',
    'warning',
    /10\.0\.0\.6:6379 is connected that the configuration does not name/,
    /instances\.orders\.replicas/,
  ],
  [
    'min-replicas-to-write',
    withTopology(
      { minReplicasToWrite: 1, replicas: [{ address: '10.0.0.6:6379', state: 'online', offset: 1 }] },
      healthy({ host: {}, replicas: ['redis://10.0.0.6:6379'] }),
    ),
    'MIN_REPLICAS_TO_WRITE',
    'info',
    /those of a restore too\.$/,
    /CONFIG SET min-replicas-to-write 0/,
  ],
  [
    'no agent',
    healthy({}),
    'BY_REPLICATION',
    'info',
    /full synchronization/,
    /rewind worker --role host --instance orders/,
  ],
  [
    'another server under the name',
    withView({ identity: { judgement: 'refuse' } }),
    'IDENTITY_REFUSED',
    'error',
    /not the one whose backups/,
    'rewind adopt orders',
  ],
  [
    'a password that Redis refuses',
    withView({ redis: failure('REDIS_REFUSED_LOGIN', 'Redis refused the login: WRONGPASS.'), rights: [] }),
    'REDIS_REFUSED_LOGIN',
    'error',
    /Seen from the agent: .* No backup can be taken/,
    /instances\.orders\.password name the password of the user rewind/,
  ],
  [
    'a user that may not even ping',
    withView({ redis: failure('REDIS_REFUSED_LOGIN', "NOPERM may not run 'ping'."), rights: [] }),
    'REDIS_REFUSED_LOGIN',
    'error',
    /NOPERM/,
    "redis-cli -h 10.0.0.5 -p 6379 ACL SETUSER rewind +ping +info +time '+config|get' +bgsave",
  ],
  [
    'Redis down',
    withView({
      redis: failure('REDIS_UNREACHABLE', 'Redis at 10.0.0.5:6379 cannot be reached: connect ECONNREFUSED.'),
      rights: [],
    }),
    'REDIS_UNREACHABLE',
    'error',
    /ECONNREFUSED/,
    'redis-cli -h 10.0.0.5 -p 6379 PING',
  ],
  [
    'rights that a backup needs',
    withView({
      rights: [
        { rule: 'info', state: 'allowed', needed: true },
        { rule: 'config|get', state: 'denied', needed: true },
        { rule: 'bgsave', state: 'denied', needed: true },
      ],
    }),
    'RIGHTS_MISSING',
    'error',
    /The user rewind may not run config\|get and bgsave: no backup can be taken/,
    "redis-cli -h 10.0.0.5 -p 6379 ACL SETUSER rewind '+config|get' +bgsave",
  ],
  [
    'rights for the server’s description',
    withView({ rights: [{ rule: 'acl|list', state: 'denied', needed: false }] }),
    'RIGHTS_MISSING_FOR_DESCRIPTION',
    'warning',
    /server\.json lacks the users, and a server restored without them is not the same server\. What is mended is kept by/,
    "redis-cli -h 10.0.0.5 -p 6379 ACL SETUSER rewind '+acl|list'",
  ],
  [
    'a command that was renamed away',
    withView({ rights: [{ rule: 'bgsave', state: 'disabled', needed: true }] }),
    'COMMANDS_DISABLED',
    'error',
    /does not know bgsave/,
    /rename-command/,
  ],
  [
    'a right that cannot be asked for',
    withView({ rights: [{ rule: 'bgsave', state: 'unknown', needed: true }] }),
    'RIGHTS_UNKNOWN',
    'info',
    /only be seen by running it/,
    'redis-cli -h 10.0.0.5 -p 6379 ACL DRYRUN rewind BGSAVE',
  ],
  [
    'a store that is down',
    { ...healthy(), probe: { written: failure('STORE_UNREACHABLE'), readings: {} } },
    'STORE_UNREACHABLE',
    'error',
    /No backup can be stored/,
    'mend it',
  ],
  [
    'no encryption on s3',
    withProbe({ encryption: { sse: 'none' } }),
    'STORE_NOT_ENCRYPTED',
    'warning',
    /without encryption/,
    /sse: aws:kms/,
  ],
  [
    'a store without checksums',
    withProbe({ hasChecksum: false }),
    'STORE_WITHOUT_CHECKSUMS',
    'info',
    /reading them back/,
    /rewind status/,
  ],
  [
    'a sandbox that looks at another folder',
    { ...healthy(), probe: { ...healthy().probe, readings: { sandbox: { reading: 'missing' } } } },
    'REPOSITORY_NOT_SHARED',
    'error',
    /^The sandbox does not see what was stored in s3:\/\/backups\/redis/,
    /same rewind\.yaml/,
  ],
  [
    'a store that gives back other bytes',
    { ...healthy(), probe: { ...healthy().probe, readings: { orchestrator: { reading: 'differs' } } } },
    'OBJECT_DIFFERS',
    'error',
    /no backup can be trusted/,
    /rewind check/,
  ],
  [
    'a role that may not read',
    { ...healthy(), probe: { ...healthy().probe, readings: { sandbox: failure('STORE_ACCESS_DENIED') } } },
    'STORE_ACCESS_DENIED',
    'error',
    /read by the sandbox/,
    'mend it',
  ],
  [
    'a probe that may not be removed',
    {
      ...healthy(),
      probe: {
        ...healthy().probe,
        notRemoved: failure('STORE_ACCESS_DENIED', 'access denied', 'Allow the user s3:DeleteObject.').failure,
      },
    },
    'PROBE_NOT_REMOVED',
    'warning',
    /probe\/orders\/1 could not be removed/,
    /s3:DeleteObject/,
  ],
  [
    'a sandbox with an older server',
    seeing({ redis: { server: { name: 'redis', version: '8.2.3' } } }),
    'SANDBOX_CANNOT_LOAD',
    'error',
    /has redis 7\.0\.15, and none of them loads a dump of redis 8\.2\.3/,
    /redis-server of 8\.2 or newer/,
  ],
  [
    'a sandbox of the other fork',
    seeing({ redis: { server: { name: 'valkey', version: '8.1.8' } } }),
    'SANDBOX_CANNOT_LOAD',
    'error',
    /valkey 8\.1\.8/,
    /valkey-server of 8\.1/,
  ],
  [
    'modules',
    seeing({ redis: { modules: ['vectorset', 'ReJSON'] } }),
    'SANDBOX_WITHOUT_MODULES',
    'warning',
    /\(ReJSON\)/,
    /rewind backups orders/,
  ],
  [
    'more data than the sandbox may use',
    seeing({ redis: { memory: { ...memory, usedBytes: 9 * GB } } }),
    'SANDBOX_MEMORY',
    'error',
    /9\.00 GB .* 8\.00 GB/,
    /sandbox\.maxMemory/,
  ],
  [
    'less memory left for a proof than the data takes',
    { ...healthy(), sandbox: { ...healthySandbox, availableMemoryBytes: GB } },
    'SANDBOX_MEMORY_LOW',
    'warning',
    /2\.00 GB .* 1\.00 GB left/,
    /free -h/,
  ],
  [
    'a full sandbox',
    { ...healthy(), sandbox: { ...healthySandbox, freeBytes: GB } },
    'SANDBOX_DISK',
    'warning',
    /may not fit/,
    /df -h/,
  ],
  [
    'a sandbox on Redis’ machine with room to spare',
    { ...healthy(), sandbox: { ...healthySandbox, machine: 'redis-host' } },
    'SANDBOX_BESIDE_REDIS',
    'info',
    /as much memory again/,
    /host\.sandbox: true/,
  ],
  [
    'a sandbox on Redis’ machine without room',
    { ...healthy(), sandbox: { ...healthySandbox, machine: 'redis-host', availableMemoryBytes: 3 * GB } },
    'SANDBOX_BESIDE_REDIS',
    'warning',
    /as much memory again/,
    /host\.sandbox: true/,
  ],
  [
    'Temporal down',
    { ...healthy(), temporal: failure('TEMPORAL_UNREACHABLE', 'Temporal cannot be reached.') },
    'TEMPORAL_UNREACHABLE',
    'error',
    /No backup is taken by schedule, and only what can be seen from here/,
    'rewind backup orders --without-temporal',
  ],
  [
    'no orchestrator',
    withTemporal({ orchestrator: { queue: 'rewind', pollers: 0 } }),
    'ORCHESTRATOR_SILENT',
    'error',
    /No orchestrator worker polls rewind in default/,
    'rewind worker --role orchestrator',
  ],
  [
    'no agent worker',
    withTemporal({ agent: { queue: 'rewind-host-orders', pollers: 0 } }),
    'AGENT_SILENT',
    'error',
    /No host worker polls rewind-host-orders in default: no backup can be taken/,
    'rewind worker --role host --instance orders',
  ],
  [
    'an agent that has just died',
    withTemporal({ agent: { queue: 'rewind-host-orders', pollers: 1, answered: false } }),
    'AGENT_SILENT',
    'error',
    /a minute ago takes nothing/,
    'rewind worker --role host --instance orders',
  ],
  [
    'no sandbox worker',
    withTemporal({ sandbox: { queue: 'rewind-sandbox', pollers: 0 } }),
    'SANDBOX_SILENT',
    'error',
    /stays unproven/,
    'rewind worker --role sandbox',
  ],
  [
    'a sandbox that is at a proof, which is no fault',
    withTemporal({ sandbox: { queue: 'rewind-sandbox', pollers: 0, busyWith: 'backup/users-1' } }),
    'SANDBOX_BUSY',
    'info',
    /proving a backup \(backup\/users-1\)/,
    /rewind check orders/,
  ],
  [
    'a schedule that was not applied',
    withTemporal({ schedule: { id: 'backup/orders', state: 'missing' } }),
    'SCHEDULE_MISSING',
    'warning',
    /not backed up by itself/,
    'rewind apply',
  ],
  [
    'a schedule that differs',
    withTemporal({ schedule: { id: 'backup/orders', state: 'differs' } }),
    'SCHEDULE_DIFFERS',
    'warning',
    /not what the configuration says/,
    'rewind apply',
  ],
  [
    'a schedule of somebody else',
    withTemporal({ schedule: { id: 'backup/orders', state: 'foreign' } }),
    'SCHEDULE_FOREIGN',
    'error',
    /belongs to something else/,
    /temporal schedule describe/,
  ],
  [
    'a schedule that somebody paused',
    withTemporal({ schedule: { id: 'backup/orders', state: 'as-configured', paused: 'moving the rack' } }),
    'SCHEDULE_PAUSED',
    'warning',
    /paused \("moving the rack"\)/,
    'temporal schedule toggle --unpause --schedule-id backup/orders --reason checked --address temporal.internal:7233 --namespace default',
  ],
  [
    'an agent with another configuration',
    { ...healthy(), instance: failure('POLICY_MISMATCH', 'This worker holds 123.') },
    'POLICY_MISMATCH',
    'error',
    /Seen from the agent: This worker holds 123/,
    'mend it',
  ],
  [
    'a fence whose run was terminated',
    fenced({}, { '7d0f': false }),
    'FENCE_WITHOUT_OWNER',
    'error',
    /since 2026-11-24T03:01:07\.000Z by accidental-flush\/orders, which is not running any more.* None of 3 users/,
    'rewind unfence orders',
  ],
  [
    'a fence whose undoing was cut off, of a run that left no name',
    fenced({ owner: {}, ending: true, inForce: 'partly' }),
    'FENCE_WITHOUT_OWNER',
    'error',
    /by a run that left no name.* has not ended/,
    'rewind unfence orders',
  ],
  [
    'a fence that a run holds',
    fenced({}, { '7d0f': true }),
    'FENCE_IN_FORCE',
    'info',
    /gives the rights back at its end/,
    'rewind status orders',
  ],
  [
    'a fence of which nobody can say whether a run holds it',
    fenced({ inForce: 'partly', writers: ['batch'] }),
    'FENCE_OWNER_UNKNOWN',
    'warning',
    /could not be asked.* only partly in force; who may write: batch/,
    /^rewind unfence orders --without-temporal/,
  ],
  [
    'a user that a fence left behind',
    withView({ fence: { fences: [], strays: ['rewind-1f3a9c04'] } }),
    'FENCE_LEFT_USER',
    'warning',
    /every right: rewind-1f3a9c04/,
    'redis-cli -h 10.0.0.5 -p 6379 ACL DELUSER rewind-1f3a9c04',
  ],
  [
    'an archive of an append-only file that is off',
    archived({}, { appendOnly: false, savePoints: '3600 1', stopsWritesOnSaveError: false }),
    'ARCHIVE_AOF_OFF',
    'error',
    /nothing is archived/,
    'rewind apply --enable-aof',
  ],
  [
    'an archive of a server before Redis 7.0',
    archived({}, {}, '6.2.14'),
    'ARCHIVE_OLD_SERVER',
    'error',
    /one piece/,
    /^upgrade to Redis 7.0/,
  ],
  [
    'an archive of a file without times',
    archived({}, { appendStamps: false }),
    'ARCHIVE_NO_STAMPS',
    'warning',
    /carries no times/,
    /CONFIG SET aof-timestamp-enabled yes/,
  ],
  [
    'an archive of a file that the system writes when it likes',
    archived({}, { appendFsync: 'no' }),
    'ARCHIVE_FSYNC_NO',
    'warning',
    /half a minute/,
    /CONFIG SET appendfsync everysec/,
  ],
  ['an archive that no run follows', archived(false), 'ARCHIVE_NOT_RUNNING', 'error', /no run follows/, 'rewind apply'],
  [
    'an archive whose agent is silent',
    { ...archived({}), archive: { running: true } },
    'ARCHIVE_SILENT',
    'error',
    /on Redis’ own disk only/,
    'rewind worker --role host --instance orders',
  ],
  [
    'an archive that cannot go on',
    archived({ state: 'damaged', note: 'appendonly.aof.1.incr.aof: the append-only file is damaged at byte 9' }),
    'ARCHIVE_STANDS_STILL',
    'error',
    /damaged at byte 9/,
    /BGREWRITEAOF/,
  ],
  [
    'an archive whose store is down',
    archived({ state: 'store', unshippedBytes: 5_000_000, note: 'STORE_UNAVAILABLE: it does not answer' }),
    'ARCHIVE_STORE_DOWN',
    'error',
    /wait on Redis’ disk.*does not answer/,
    /^rewind check orders/,
  ],
  [
    'an archive that let go of what it held',
    archived({ dropped: 1 }),
    'ARCHIVE_LET_GO',
    'error',
    /the oldest was let go/,
    'rewind timeline orders',
  ],
  [
    'a loss that was noticed',
    {
      ...archived({}),
      losses: [
        {
          ...{ kind: 'flush', command: 'FLUSHALL', keysLost: 12_000, timeMs: Date.parse('2026-11-24T03:01:07Z') },
          sentence: 'FLUSHALL took 12000 keys of database 0.',
          good: { timeline: 1, position: 214 },
        },
      ],
    } as Observed,
    'LOSS_NOTICED',
    'error',
    /FLUSHALL took 12000 keys.*position 214.* is pinned/,
    'rewind runbook accidental-flush orders',
  ],
  [
    'a loss of a server that came back empty',
    {
      ...archived({}),
      losses: [
        {
          ...{ kind: 'came-back-empty', keysLost: 12_000, timeMs: Date.parse('2026-11-24T03:01:07Z') },
          sentence: 'Redis came back empty: 12000 keys of database 0 are gone.',
          good: { timeline: 1, position: 214 },
        },
      ],
    } as Observed,
    'LOSS_NOTICED',
    'error',
    /came back empty/,
    'rewind runbook accidental-flush orders --to 214',
  ],
  [
    'an archive that lags behind its objective',
    archived({ lagMs: 90_000, unshippedBytes: 1 }),
    'ARCHIVE_LAGS',
    'warning',
    /the objective is/,
    /archive.segmentEvery/,
  ],
  [
    'an archive by replication whose link counts for min-replicas-to-write',
    streamed(
      {
        topology: {
          ...topology,
          minReplicasToWrite: 1,
          replicas: [{ address: '10.0.0.6:6379', state: 'online', offset: 1 }],
        },
      },
      ['redis://10.0.0.6:6379'],
    ),
    'ARCHIVE_COUNTS_AS_REPLICA',
    'warning',
    /counts as one of them.*WAIT is not changed/,
    /CONFIG SET min-replicas-to-write 2.*rewind apply --yes/,
  ],
  [
    'an archive by replication whose server keeps little of its stream',
    streamed({ replication: { backlogBytes: 1024 ** 2, replicaBufferLimit: 256 * 1024 ** 2 } }),
    'ARCHIVE_SMALL_BACKLOG',
    'warning',
    /has a gap/,
    /CONFIG SET repl-backlog-size 64mb/,
  ],
  [
    'an archive by replication whose server keeps all that is not read',
    streamed({ replication: { backlogBytes: 64 * 1024 ** 2, replicaBufferLimit: 0 } }),
    'ARCHIVE_BUFFER_UNLIMITED',
    'warning',
    /would run out of memory/,
    /CONFIG SET client-output-buffer-limit 'replica 256mb 64mb 60'/,
  ],
  [
    'an archive whose spool has no room on the disk',
    archived({}, {}, '7.0.15', { spool: '60gb' }),
    'ARCHIVE_SPOOL_DISK',
    'warning',
    /would run out of disk first/,
    /archive.spool$/,
  ],
];
