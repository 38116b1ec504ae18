import type { CopiesSurvey, SentinelsView, ServerCopy, SilentServer } from '../../incident/crash/copies.ts';
import type { CrashFacts } from '../../incident/crash/facts.ts';
import type { LocalFiles } from '../../incident/crash/local-files.ts';
import type { LocalSettings } from '../../incident/crash/local-settings.ts';
import type { BackupEntry } from '../../repository/catalogue.ts';

/** When the copies of a made-up crash are asked; the node died ten minutes before. */
export const askedAt = '2026-11-24T12:10:00.000Z';
export const diedAt = '2026-11-24T12:00:00.000Z';
export const primaryAddress = '10.0.0.5:6379';

const history = 'a'.repeat(40);

/** A time so many seconds before the death. */
export function secondsBefore(seconds: number): string {
  return new Date(Date.parse(diedAt) - seconds * 1000).toISOString();
}

/** A replica that was in sync until the death, with 1,000 keys. */
export function replica(address: string, more: Partial<ServerCopy> = {}): ServerCopy {
  const ageSeconds = 600;
  return {
    address,
    foundBy: 'configured-replica',
    role: 'replica',
    mode: 'standalone',
    server: { name: 'redis', version: '7.0.15' },
    runId: address.replace(/\D/g, '').padEnd(40, 'b'),
    uptimeSeconds: 86_400,
    keys: 1_000,
    keysByDatabase: { '0': 1_000 },
    replication: { id: history, offset: 5_000 },
    follows: { address: primaryAddress, up: false, synchronizing: false, downForSeconds: ageSeconds },
    replicas: [],
    ageSeconds,
    dataAsOf: diedAt,
    priority: 100,
    ...more,
  };
}

/** A server that is a primary now. */
export function promoted(address: string, more: Partial<ServerCopy> = {}): ServerCopy {
  const { follows: _, priority: __, ...copy } = replica(address);
  return {
    ...copy,
    role: 'primary',
    ageSeconds: 0,
    dataAsOf: askedAt,
    replication: { id: 'c'.repeat(40), previousId: history, offset: 5_200 },
    ...more,
  };
}

export const primaryGone: SilentServer = {
  address: primaryAddress,
  foundBy: 'configured-primary',
  code: 'REDIS_UNREACHABLE',
  reason: 'connect ECONNREFUSED',
};

export function survey(servers: readonly ServerCopy[], more: Partial<CopiesSurvey> = {}): CopiesSurvey {
  return { at: askedAt, primary: primaryAddress, primaryAlso: [], servers, silent: [primaryGone], ...more };
}

export function sentinels(more: Partial<SentinelsView> = {}): SentinelsView {
  return {
    master: 'main',
    answers: [
      {
        address: '10.0.0.7:26379',
        primary: more.primary ?? primaryAddress,
        epoch: 3,
        down: 'no',
        failover: false,
        quorum: 2,
        otherSentinels: 2,
        replicas: [],
      },
    ],
    silent: [],
    primary: primaryAddress,
    promoted: false,
    willPromote: false,
    ...more,
  };
}

/** A backup so many seconds before the death. */
export function backup(seconds: number, more: Partial<BackupEntry> = {}): BackupEntry {
  const time = secondsBefore(seconds);
  return {
    id: `${time.replace(/[-:]|\.\d+/g, '')}-1f3a9c04`,
    time,
    tier: 'hourly',
    sizeBytes: 100_000,
    keys: 900,
    state: 'verified',
    ...more,
  };
}

const settings: LocalSettings = {
  dir: '/var/lib/redis',
  dbfilename: 'dump.rdb',
  appendonly: false,
  appendfilename: 'appendonly.aof',
  appenddirname: 'appendonlydir',
  appendfsync: 'everysec',
  knownFrom: 'a test',
};

/** A whole dump.rdb whose save began so many seconds before the death. */
export function localDump(seconds: number, more: Partial<LocalFiles['dump']> = {}): LocalFiles {
  const savedAt = secondsBefore(seconds);
  const dump = {
    path: '/var/lib/redis/dump.rdb',
    state: 'whole' as const,
    sizeBytes: 90_000,
    savedAt,
    keys: 950,
    ...more,
  };
  return {
    settings,
    machineUpSince: secondsBefore(1e6),
    loads: dump.state === 'whole' || dump.state === 'damaged' ? 'dump' : 'nothing',
    dump,
    ...(dump.state === 'whole' && dump.savedAt
      ? { holdsUntil: { at: dump.savedAt, source: 'the begin of the save' } }
      : {}),
  };
}

/** An append-only file last written to so many seconds before the death. */
export function localAof(seconds: number, more: Partial<LocalFiles> = {}): LocalFiles {
  const lastWriteAt = secondsBefore(seconds);
  return {
    ...localDump(0, { state: 'missing', savedAt: undefined, keys: undefined }),
    settings: { ...settings, appendonly: true },
    loads: 'aof',
    aof: { form: 'parts', sizeBytes: 200_000, lastWriteAt, missingFiles: [], unnamedFiles: [] },
    holdsUntil: { at: lastWriteAt, source: 'the last write to the append-only file' },
    ...more,
  };
}

/** A node that died at {@link diedAt}, as its supervisor says. */
export function crash(more: Partial<CrashFacts> & { servers?: readonly ServerCopy[] } = {}): CrashFacts {
  const { servers = [], ...facts } = more;
  return {
    survey: survey(servers),
    death: {
      cause: 'killed',
      certainty: 'shown',
      sentences: ['It was ended by SIGKILL.'],
      unknown: [],
      diedAt: { at: diedAt, source: 'the end of its process' },
      failedStarts: 0,
    },
    backups: [],
    ...facts,
  };
}
