import { describe, expect, test } from 'vitest';
import { findingsOf } from '../../check/findings-of.ts';
import type { InstanceView, Observed } from '../../check/observed.ts';
import { healthy, healthyHost, healthyRedis, healthySandbox, seeing } from '../support/observed.ts';

const GB = 1e9;
const { persistence, topology, memory } = healthyRedis;
const dump = healthyHost.dump as NonNullable<typeof healthyHost.dump>;
const mem = healthyHost.memory as NonNullable<typeof healthyHost.memory>;

const withPersistence = (change: Partial<typeof persistence>, host = {}) =>
  seeing({ redis: { persistence: { ...persistence, ...change } }, host });
const withTopology = (change: Partial<typeof topology>, observed?: Observed) =>
  seeing({ redis: { topology: { ...topology, ...change } } }, observed);
const withDump = (change: Partial<typeof dump>) => seeing({ host: { dump: { ...dump, ...change } } });
const withMemory = (change: Partial<typeof mem>, redis = {}) =>
  seeing({ host: { memory: { ...mem, ...change } }, redis });
const withView = (change: Partial<InstanceView>): Observed => {
  const observed = healthy();
  return { ...observed, instance: { ...(observed.instance as InstanceView), ...change } };
};
const withProbe = (change: object): Observed => {
  const observed = healthy();
  return { ...observed, probe: { ...observed.probe, written: { ...observed.probe.written, ...change } } as never };
};
const withTemporal = (change: object): Observed => {
  const observed = healthy();
  return { ...observed, temporal: { ...observed.temporal, ...change } as never };
};
const failure = (code: string, message = 'it says.', next = 'mend it') => ({ failure: { code, message, next } });
const seenFromHere = (): Observed => ({ ...withView({ identity: { judgement: 'refuse' } }), seenBy: 'here' });

test('an instance with nothing to find has no finding', () => {
  expect(findingsOf(healthy())).toEqual([]);
});

type Case = [what: string, observed: Observed, code: string, severity: string, says: RegExp, fix: string | RegExp];

const cases: Case[] = [
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
    withView({ redis: failure('REDIS_UNREACHABLE'), rights: [] }),
    'REDIS_UNREACHABLE',
    'error',
    /it says/,
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
    { ...healthy(), probe: { ...healthy().probe, notRemoved: failure('STORE_ACCESS_DENIED').failure } },
    'PROBE_NOT_REMOVED',
    'warning',
    /probe\/orders\/1 could not be removed/,
    'mend it',
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
    { ...healthy(), sandbox: { ...healthySandbox, machine: 'redis-host', availableMemoryBytes: GB } },
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
    /temporal schedule toggle --unpause --schedule-id backup\/orders/,
  ],
  [
    'an agent with another configuration',
    { ...healthy(), instance: failure('POLICY_MISMATCH', 'This worker holds 123.') },
    'POLICY_MISMATCH',
    'error',
    /Seen from the agent: This worker holds 123/,
    'mend it',
  ],
];

test.each(cases)('%s is found, with its consequence and what mends it', (_, observed, code, severity, says, fix) => {
  const found = findingsOf(observed);
  expect(found.map((finding) => finding.code)).toEqual([code]);
  expect(found[0]).toMatchObject({ severity, consequence: expect.stringMatching(says) });
  if (typeof fix === 'string') expect(found[0]?.fix).toBe(fix);
  else expect(found[0]?.fix).toMatch(fix);
});

describe('what is no finding', () => {
  test('an identity that only the agent could confirm is not judged from elsewhere', () => {
    expect(findingsOf(seenFromHere())).toEqual([]);
  });

  test('a stop of writes that cannot happen, because Redis does not save by itself', () => {
    expect(findingsOf(withPersistence({ savePoints: '', stopsWritesOnSaveError: true }))).toEqual([]);
  });

  test('huge pages that Redis switches off for itself', () => {
    expect(findingsOf(withMemory({ hugePages: 'always' }))).toEqual([]);
  });

  test('a sandbox beside Redis that the configuration allows', () => {
    const observed = healthy({ host: { sandbox: true } });
    expect(findingsOf({ ...observed, sandbox: { ...healthySandbox, machine: 'redis-host' } })).toEqual([]);
  });

  test('the schedule of a cache, which has none', () => {
    const observed = healthy({ host: {}, dataClass: 'cache' });
    expect(findingsOf({ ...observed, temporal: { ...observed.temporal, schedule: undefined } as never })).toEqual([]);
  });
});

test('the worst comes first, and within it the order of a backup’s way', () => {
  const observed = seeing(
    {
      redis: { persistence: { ...persistence, appendOnly: false, lastSave: 'err' }, clockSkewMs: 3_600_000 },
      host: { dump: { ...dump, freeBytes: 1 }, memory: { ...mem, overcommit: 0 } },
    },
    withTemporal({ sandbox: { queue: 'rewind-sandbox', pollers: 0 } }),
  );
  const found = findingsOf({ ...observed, probe: withProbe({ encryption: { sse: 'none' } }).probe });
  expect(found.map(({ severity, code }) => `${severity} ${code}`)).toEqual([
    'error SANDBOX_SILENT',
    'error LAST_SAVE_FAILED',
    'error DUMP_DISK_FULL',
    'warning PERSISTENCE_OFF',
    'warning CLOCK_SKEW',
    'warning STORE_NOT_ENCRYPTED',
    'info OVERCOMMIT',
  ]);
});

test('everything can be wrong at once, and each is said', () => {
  const found = findingsOf({
    ...healthy({}),
    temporal: failure('TEMPORAL_UNREACHABLE'),
    instance: failure('SECRET_MISSING'),
    probe: { written: failure('STORE_UNREACHABLE'), readings: {} },
    sandbox: failure('PART_UNAVAILABLE'),
  });
  expect(found.map(({ code }) => code)).toEqual([
    'TEMPORAL_UNREACHABLE',
    'SECRET_MISSING',
    'STORE_UNREACHABLE',
    'PART_UNAVAILABLE',
    'BY_REPLICATION',
  ]);
});
