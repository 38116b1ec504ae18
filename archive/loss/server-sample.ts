import { type Info, infoNumber, parseInfo } from '../../redis/info.ts';

/** What a server says of its data at one moment, as far as a loss shows in it. Counters are those since its start. */
export interface ServerSample {
  /** Unix ms, by the clock of whoever asked. */
  readonly atMs: number;
  readonly runId: string;
  readonly primary: boolean;
  /** By database; empty ones are not named. */
  readonly keys: Readonly<Record<string, number>>;
  /** Keys that went by themselves: expired (at the load, too) or evicted; and keys with fields that expired. */
  readonly went: number;
  /** Calls that may have taken the last element of a key, or a key itself, as an application means it: LPOP, RENAME. */
  readonly taken: number;
  /** Calls of DEL and UNLINK; those that stand in the file for an expiry are not counted. */
  readonly removals: number;
  readonly flushall: number;
  readonly flushdb: number;
  readonly swapdb: number;
}

/** Sections of INFO that a sample is read from. */
export const sampleSections = ['server', 'replication', 'persistence', 'stats', 'commandstats', 'keyspace'] as const;

/** Each of them takes one key away at most, but for LMPOP and ZMPOP, and those one of several. */
const takers = new Set(
  [
    [
      'lpop',
      'rpop',
      'lmpop',
      'blpop',
      'brpop',
      'blmpop',
      'rpoplpush',
      'brpoplpush',
      'lmove',
      'blmove',
      'lrem',
      'ltrim',
    ],
    ['spop', 'srem', 'smove', 'sdiffstore', 'sinterstore', 'sunionstore', 'hdel', 'hgetdel'],
    ['zpopmin', 'zpopmax', 'zmpop', 'bzpopmin', 'bzpopmax', 'bzmpop', 'zrem', 'zremrangebyrank', 'zremrangebyscore'],
    [
      'zremrangebylex',
      'zdiffstore',
      'zinterstore',
      'zunionstore',
      'zrangestore',
      'georadius',
      'geosearchstore',
      'sort',
    ],
    ['getdel', 'getex', 'rename', 'renamenx', 'bitop'],
  ].flat(),
);

/** @returns undefined while the server loads: what it has then says nothing */
export function sampleOf(text: string, atMs: number): ServerSample | undefined {
  const info = parseInfo(text);
  if (info.loading !== '0' || info.async_loading === '1') return undefined;
  const number = (field: string) => infoNumber(info, field) ?? 0;
  const calls = callsOf(info);
  const of = (...names: string[]) => names.reduce((sum, name) => sum + (calls.get(name) ?? 0), 0);
  return {
    atMs,
    runId: info.run_id ?? '',
    primary: info.role === 'master',
    keys: keysByDatabase(info),
    went: ['expired_keys', 'evicted_keys', 'expired_subkeys', 'expired_fields', 'rdb_last_load_keys_expired']
      .map(number)
      .reduce((sum, each) => sum + each, 0),
    taken: [...calls].reduce((sum, [name, count]) => (takers.has(name) ? sum + count : sum), 0),
    removals: of('del', 'unlink'),
    flushall: of('flushall'),
    flushdb: of('flushdb'),
    swapdb: of('swapdb'),
  };
}

export const keysOfSample = ({ keys }: Pick<ServerSample, 'keys'>): number =>
  Object.values(keys).reduce((sum, each) => sum + each, 0);

function callsOf(info: Info): Map<string, number> {
  const calls = new Map<string, number>();
  for (const [field, value] of Object.entries(info)) {
    if (!field.startsWith('cmdstat_')) continue;
    calls.set(field.slice('cmdstat_'.length), Number(/^calls=(\d+)/.exec(value)?.[1] ?? 0));
  }
  return calls;
}

function keysByDatabase(info: Info): Record<string, number> {
  const keys: Record<string, number> = {};
  for (const [field, value] of Object.entries(info)) {
    const count = /^db\d+$/.test(field) ? Number(/keys=(\d+)/.exec(value)?.[1] ?? 0) : 0;
    if (count > 0) keys[field.slice(2)] = count;
  }
  return keys;
}
