import type { Redis } from 'ioredis';
import { redisTimeMs } from '../../redis/info.ts';
import { durationWords, timeWords } from '../crash/words.ts';
import { type CommandCounts, type CountsSince, callsSince, readCommandCounts } from './command-counts.ts';
import { flushCommands } from './destructive.ts';
import type { AofEvidence, FlushInAof } from './flush-in-aof.ts';
import { type Found, fromAclLog, fromClientList, fromSlowLog, type Suspect } from './suspects.ts';

/** When and by whom data was destroyed, as far as Redis can tell. Plain data without names of keys. */
export interface FlushEvidence {
  readonly when: {
    /** Not before this, ISO 8601 by Redis' clock; absent where nothing bounds it. */
    readonly earliest?: string;
    /** Not after this. */
    readonly latest: string;
    readonly source: string;
    /** Shown by an entry of its own, to a second or two, and not only bounded. */
    readonly exact: boolean;
  };
  /** The most telling first. */
  readonly by: readonly Suspect[];
  readonly counts: CommandCounts;
  readonly since: CountsSince;
  readonly sentences: readonly string[];
  /** What could not be known, and why. */
  readonly unknown: readonly string[];
}

export interface EvidenceAsked {
  /** A reading from before the loss (the backup's, the last check's). */
  readonly earlier?: CommandCounts;
  /** When the data was last seen, ISO 8601 by Redis' clock: the newest backup that still has it. */
  readonly lastSeenAt?: string;
  /** What the server's append-only file says, where it could be read. */
  readonly aof?: AofEvidence;
}

/** Entries have whole seconds, and the idle time of a client too. */
const SECOND = 1_000;

/**
 * Asks Redis itself: counters of commands, slow log, clients, ACL log; its append-only file is read before. Reads only. Nothing of it is proof against
 * somebody who can clear these; what is missing is named.
 */
export async function whoFlushed(redis: Redis, asked: EvidenceAsked = {}): Promise<FlushEvidence> {
  const nowMs = await redisTimeMs(redis);
  const [slow, clients, acl] = await Promise.all([
    fromSlowLog(redis),
    fromClientList(redis, nowMs),
    fromAclLog(redis, nowMs),
  ]);
  return weigh(await readCommandCounts(redis), { slow, clients, acl }, asked);
}

interface Readings {
  readonly slow: Awaited<ReturnType<typeof fromSlowLog>>;
  readonly clients: Awaited<ReturnType<typeof fromClientList>>;
  readonly acl: Found<readonly Suspect[]>;
}

/** Pure: from what was read to what it means. */
export function weigh(counts: CommandCounts, { slow, clients, acl }: Readings, asked: EvidenceAsked): FlushEvidence {
  const since = callsSince(counts, asked.earlier);
  const refused = 'value' in acl ? acl.value : [];
  const seen = [
    ...('value' in slow ? slow.value.suspects : []),
    ...('value' in clients ? clients.value.suspects.filter((each) => !wasRefused(each, refused, since)) : []),
  ];
  const ran = seen.filter(({ at }) => !isBefore(at, asked.lastSeenAt));
  const by = [...ran.sort(moreTelling), ...refused];
  const when = whenOf(counts, since, ran, asked);
  return {
    when,
    by,
    counts,
    since,
    sentences: [...sentencesOf(counts, since, when, by), ...(asked.aof?.sentences ?? [])],
    unknown: [...unknownOf(since, { slow, clients, acl }, ran), ...(asked.aof?.unknown ?? [])],
  };
}

/** A client's last command stands in the list also when it was refused. */
function wasRefused({ command, addr, at }: Suspect, refused: readonly Suspect[], since: CountsSince): boolean {
  if (since.began !== 'reset' && !since.calls[command]) return true;
  return refused.some(
    (each) =>
      each.command === command &&
      each.addr === addr &&
      Math.abs(Date.parse(each.at ?? '') - Date.parse(at ?? '')) <= 2 * SECOND,
  );
}

/** Older than the loss can be, where it is known when the data was last seen. */
function isBefore(at: string | undefined, lastSeenAt: string | undefined): boolean {
  return at !== undefined && lastSeenAt !== undefined && Date.parse(at) < Date.parse(lastSeenAt) - 2 * SECOND;
}

/** Flushes before deletes, the latest first: it is what was there to be lost last. */
function moreTelling(a: Suspect, b: Suspect): number {
  return (
    Number(isFlush(b)) - Number(isFlush(a)) ||
    (b.keys ?? 0) - (a.keys ?? 0) ||
    Date.parse(b.at ?? '') - Date.parse(a.at ?? '')
  );
}

function isFlush({ command }: Suspect): boolean {
  return (flushCommands as readonly string[]).includes(command);
}

function whenOf(
  counts: CommandCounts,
  since: CountsSince,
  ran: readonly Suspect[],
  asked: EvidenceAsked,
): FlushEvidence['when'] {
  const flushes = ran.filter((suspect) => isFlush(suspect) && suspect.at !== undefined);
  const times = flushes.map(({ at }) => Date.parse(at as string)).sort((a, b) => a - b);
  if (times.length > 0) {
    const sources = [
      ...new Set(flushes.map(({ source }) => (source === 'slow-log' ? 'the slow log' : 'the list of clients'))),
    ];
    return {
      earliest: new Date(times[0]! - 2 * SECOND).toISOString(),
      latest: new Date(Math.min(times.at(-1)! + 2 * SECOND, Date.parse(counts.at))).toISOString(),
      source: sources.join(' and '),
      exact: true,
    };
  }
  const inAof = flushInAof(since, asked.aof);
  const bounds = [
    ...(inAof?.notBefore ? [{ at: inAof.notBefore, source: 'the append-only file' }] : []),
    ...(asked.lastSeenAt ? [{ at: asked.lastSeenAt, source: 'the data was last seen then' }] : []),
    ...(since.since && Object.keys(since.calls).some((name) => (flushCommands as readonly string[]).includes(name))
      ? [
          {
            at: since.since,
            source: since.began === 'start' ? 'the start of the server' : 'the counters of an earlier reading',
          },
        ]
      : []),
  ].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  const [bound] = bounds;
  return {
    ...(bound ? { earliest: bound.at } : {}),
    latest: inAof?.notAfter ?? counts.at,
    source: bound?.source ?? 'nothing bounds it',
    exact: false,
  };
}

/** The last one, where it is one that the server has counted: its file goes back beyond its start. */
function flushInAof(since: CountsSince, aof: AofEvidence | undefined): FlushInAof | undefined {
  const last = aof?.flushes.at(-1);
  if (!last?.notBefore || !flushCommands.some((name) => since.calls[name])) return undefined;
  const isOlder = since.since !== undefined && Date.parse(last.notBefore) < Date.parse(since.since) - 2 * SECOND;
  return isOlder ? undefined : last;
}

function sentencesOf(
  counts: CommandCounts,
  since: CountsSince,
  when: FlushEvidence['when'],
  by: readonly Suspect[],
): string[] {
  const began = since.since ? `Since ${timeWords(since.since)}` : 'Since the counters were reset';
  const flushes = flushCommands.flatMap((name) =>
    since.calls[name] ? [`${name.toUpperCase()} ${times(since.calls[name])}`] : [],
  );
  const deletes = ['del', 'unlink'].flatMap((name) =>
    since.calls[name] ? [`${name.toUpperCase()} ${times(since.calls[name])}`] : [],
  );
  return [
    flushes.length > 0
      ? `${began} Redis has run ${flushes.join(', ')}.`
      : `${began} Redis has counted no FLUSHALL, FLUSHDB or SWAPDB.`,
    ...(deletes.length > 0 ? [`${began} it has run ${deletes.join(', ')}.`] : []),
    ...(when.exact
      ? [
          `It happened at about ${timeWords((Date.parse(when.earliest as string) + Date.parse(when.latest)) / 2)} (${when.source}).`,
        ]
      : when.earliest
        ? [`It happened between ${timeWords(when.earliest)} and ${timeWords(when.latest)}: ${when.source}.`]
        : []),
    ...by.slice(0, 10).map(suspectSentence),
    ...(counts.evictedKeys > 0
      ? [
          `Redis has evicted ${counts.evictedKeys} keys for want of memory since its start or its last reset: those were not deleted by anybody.`,
        ]
      : []),
  ];
}

function suspectSentence({
  command,
  addr,
  name,
  user,
  at,
  microseconds,
  keys,
  source,
  refused,
  arguments: words,
}: Suspect): string {
  const who = [
    addr ? `the client ${addr}` : 'a client without an address',
    ...(name ? [`named ${name}`] : []),
    ...(user ? [`as the user ${user}`] : []),
  ].join(', ');
  const what = `${command.toUpperCase()}${words ? ` ${words.toUpperCase()}` : ''}${keys === undefined ? '' : ` of ${keys} keys`}`;
  const when = at ? ` at ${timeWords(at)}` : '';
  if (refused) return `${capital(who)} tried ${what}${when} and was refused (ACL log).`;
  const took =
    microseconds === undefined
      ? ''
      : `, which took ${microseconds >= SECOND * 1000 ? durationWords(microseconds / 1e6) : `${Math.round(microseconds / 1000)} ms`}`;
  return source === 'slow-log'
    ? `${capital(who)} ran ${what}${when}${took} (slow log).`
    : `${capital(who)}, still connected, ran ${what} as its last command${when} (list of clients).`;
}

function unknownOf(since: CountsSince, { slow, clients, acl }: Readings, ran: readonly Suspect[]): string[] {
  const flushed = flushCommands.some((name) => since.calls[name]);
  const threshold = 'value' in slow ? slow.value.thresholdMicroseconds : undefined;
  return [
    ...(since.restarted ? ['what ran before the restart: its counters, slow log and clients are gone'] : []),
    ...(since.began === 'reset' ? ['what ran before the counters were reset (CONFIG RESETSTAT)'] : []),
    ...[slow, clients, acl].flatMap((each) => ('why' in each ? [each.why] : [])),
    ...(threshold !== undefined && threshold < 0 ? ['how long commands took: the slow log is off'] : []),
    ...(threshold !== undefined && threshold > 0 && !ran.some(({ source }) => source === 'slow-log')
      ? [`who ran commands that took less than ${threshold / 1000} ms: the slow log does not keep them`]
      : []),
    ...(flushed && !ran.some(isFlush)
      ? ['who it was: the client is not connected any more, or has run something else since']
      : []),
    ...(ranScripts(since)
      ? ['who ran scripts, and what they did: commands in a script are logged without their client, if at all']
      : []),
  ];
}

function ranScripts(since: CountsSince): boolean {
  return ['eval', 'evalsha', 'fcall'].some((name) => since.calls[name]);
}

const times = (count: number): string => (count === 1 ? 'once' : `${count} times`);
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
