import { RewindError } from '../errors/rewind-error.ts';
import { addressOf, connectionError, type RedisTarget } from './connection.ts';
import { parseInfo, serverVersion } from './info.ts';
import type { PsyncSocket } from './psync-socket.ts';

/**
 * What INFO, ROLE and Sentinel show as this client's address. Sentinel takes every line of INFO for a replica and keeps
 * it for ever; a name that is no address is one it refuses to register (`resolve-hostnames no`, its default). `.invalid`
 * resolves nowhere (RFC 6761), so nobody connects to it by mistake.
 */
export const replicaName = 'redis-rewind.invalid';

/**
 * Valkey 9 writes for a replica that does not say its version what Redis 7.2 could read (magic REDIS0011), and gives up
 * where a hash has field TTLs. The highest version that it can parse says: write your own format.
 */
const anyVersion = '255.255.255';

/** Longest answer to INFO that is read into memory. */
const infoLimit = 1024 * 1024;

/** Logs in as `target` says and proves that the server answers commands. */
export async function login(socket: PsyncSocket, target: RedisTarget): Promise<void> {
  const user = decodeURIComponent(new URL(target.url).username);
  if (target.password !== undefined) {
    socket.send('AUTH', ...(user ? [user] : []), target.password);
    const answer = await socket.line();
    if (answer !== '+OK') throw refused(target, answer);
  }
  socket.send('PING');
  const answer = await socket.line();
  if (answer !== '+PONG') throw refused(target, answer);
}

/** The server's name and version; undefined where this user may not run INFO. */
export async function askVersion(
  socket: PsyncSocket,
): Promise<{ name: 'redis' | 'valkey'; version: string } | undefined> {
  const text = await askInfo(socket, 'server');
  return text === undefined ? undefined : serverVersion(parseInfo(text));
}

/** What INFO says, by default all that it says unasked; undefined where this user may not run it. */
export async function askInfo(socket: PsyncSocket, ...sections: string[]): Promise<string | undefined> {
  socket.send('INFO', ...sections);
  const header = await socket.line();
  const length = header.startsWith('$') ? decimal(header.slice(1)) : undefined;
  if (length === undefined) return undefined;
  if (length > infoLimit) {
    throw new RewindError('REDIS_REPLICATION_PROTOCOL', `An answer to INFO of ${length} bytes is not believed.`);
  }
  return (await socket.bytes(length + 2)).toString('latin1');
}

/**
 * Introduces this client as one that wants a dump.
 *
 * @returns whether the server agreed to `rdb-only` (Redis 6.2 and newer): it then keeps no buffer of later writes for
 *   us, never counts us as a replica, and closes the connection after the dump.
 */
export async function introduce(socket: PsyncSocket, target: RedisTarget, rdbOnly: boolean): Promise<boolean> {
  socket.send('CLIENT', 'SETNAME', 'redis-rewind');
  await socket.line();
  for (const option of [
    ['listening-port', '0'],
    ['ip-address', replicaName],
    // Not announced: dual-channel (Valkey 8), which would send the dump over a second connection.
    ['capa', 'eof', 'capa', 'psync2'],
    ['version', anyVersion],
  ]) {
    socket.send('REPLCONF', ...option);
    const answer = await socket.line();
    // An option that an old server does not know is no loss, a command that we may not run is.
    if (isForbidden(answer)) throw forbidden(target, answer);
  }
  if (!rdbOnly) return false;
  socket.send('REPLCONF', 'rdb-only', '1');
  return (await socket.line()) === '+OK';
}

/** A place in a server's replication history: so many bytes stand before it. */
export interface ReplicationPlace {
  /** 40 characters; names the history. */
  readonly replId: string;
  readonly offset: number;
}

/** What a server answers to PSYNC. */
export type SyncAnswer =
  /** The stream goes on at the place that was asked for, from now on under this id. */
  | { readonly sync: 'continue'; readonly replId: string }
  /** A dump comes, and the stream from this place on. */
  | ({ readonly sync: 'full' } & ReplicationPlace);

/**
 * Asks for the stream from a place on, and waits until the server has said how it comes; without a place, for a full
 * synchronization.
 *
 * @param onWait called for each sign of life while the server is not ready yet (about once a second)
 * @throws REDIS_REPLICA_NOT_IN_SYNC, REDIS_REPLICATION_FORBIDDEN, REDIS_SAVE_FAILED_FOR_DUMP, REDIS_REPLICATION_PROTOCOL
 */
export async function requestSync(
  socket: PsyncSocket,
  target: RedisTarget,
  from: ReplicationPlace | undefined,
  onWait: () => void,
): Promise<SyncAnswer> {
  // The offset of the first byte that is wanted, counted from 1.
  socket.send('PSYNC', from?.replId ?? '?', from ? String(from.offset + 1) : '-1');
  for (;;) {
    const answer = await socket.line();
    if (answer === '') {
      onWait();
      continue;
    }
    const continued = from && /^\+CONTINUE(?: ([0-9a-zA-Z]{40}))?$/.exec(answer);
    if (continued) return { sync: 'continue', replId: continued[1] ?? from.replId };
    const full = /^\+FULLRESYNC ([0-9a-zA-Z]{40}) (\d{1,19})$/.exec(answer);
    if (!full) throw refusedSync(target, answer);
    const offset = decimal(full[2]!);
    if (offset === undefined) throw unexpected(target, answer);
    return { sync: 'full', replId: full[1]!, offset };
  }
}

/** As `requestSync` without a place. */
export async function requestFullSync(
  socket: PsyncSocket,
  target: RedisTarget,
  onWait: () => void,
): Promise<ReplicationPlace> {
  const answer = await requestSync(socket, target, undefined, onWait);
  return { replId: answer.replId, offset: 'offset' in answer ? answer.offset : 0 };
}

/** A count that a server sent, exact or undefined: never trusted further than a number can hold. */
export function decimal(text: string): number | undefined {
  if (!/^\d{1,16}$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

function refusedSync(target: RedisTarget, answer: string): RewindError {
  const said = answer.slice(1, 200);
  if (/NOMASTERLINK|MASTERDOWN/.test(answer)) {
    return new RewindError(
      'REDIS_REPLICA_NOT_IN_SYNC',
      `Redis at ${addressOf(target)} is a replica that is not in sync with its primary, or a failover is running: ${said}`,
    );
  }
  if (/^-(ERR )?BGSAVE failed/.test(answer)) {
    return new RewindError('REDIS_SAVE_FAILED_FOR_DUMP', `Redis at ${addressOf(target)} could not save: ${said}`);
  }
  if (isForbidden(answer)) return forbidden(target, answer);
  if (/^-(LOADING|NOAUTH)/.test(answer)) return refused(target, answer);
  return unexpected(target, answer);
}

function isForbidden(answer: string): boolean {
  return /^-(NOPERM|ERR unknown command)/i.test(answer);
}

function forbidden(target: RedisTarget, answer: string): RewindError {
  const user = decodeURIComponent(new URL(target.url).username) || 'default';
  return new RewindError(
    'REDIS_REPLICATION_FORBIDDEN',
    `Redis at ${addressOf(target)} does not let user ${user} replicate: ${answer.slice(1, 200)}`,
  );
}

function refused(target: RedisTarget, answer: string): RewindError {
  return answer.startsWith('-') ? connectionError(target, new Error(answer.slice(1, 200))) : unexpected(target, answer);
}

export function unexpected(target: RedisTarget, answer: string): RewindError {
  return new RewindError(
    'REDIS_REPLICATION_PROTOCOL',
    `What answers at ${addressOf(target)} is not a Redis that replicates: it said ${JSON.stringify(answer.slice(0, 80))}.`,
  );
}
