import type { Redis } from 'ioredis';
import { destructive } from './destructive.ts';

/** Somebody who ran, or tried to run, a command that destroys. */
export interface Suspect {
  readonly command: string;
  /** `ip:port` of the client; absent for a unix socket's. */
  readonly addr?: string;
  /** As the client named itself. */
  readonly name?: string;
  readonly user?: string;
  /** When it ran, ISO 8601, by Redis' clock and to its second. */
  readonly at?: string;
  readonly microseconds?: number;
  /** Arguments that name no key: ASYNC, SYNC, numbers of databases. */
  readonly arguments?: string;
  /** Keys that a DEL or UNLINK named; never which. */
  readonly keys?: number;
  readonly source: 'slow-log' | 'client-list' | 'acl-log';
  /** Of the ACL log: it was refused. */
  readonly refused?: boolean;
}

/** What a part of the evidence gave, or why it gave none. */
export type Found<T> = { readonly value: T } | { readonly why: string };

/** SLOWLOG GET: [id, seconds, microseconds, [words], address, name]; the words of DEL are names of keys and stay here. */
export async function fromSlowLog(
  redis: Redis,
): Promise<Found<{ suspects: Suspect[]; thresholdMicroseconds?: number }>> {
  return attempt('the slow log', async () => {
    const entries = (await redis.call('SLOWLOG', 'GET', '1024')) as unknown[][];
    const setting = (await redis.config('GET', 'slowlog-log-slower-than').catch(() => [])) as string[];
    const threshold = Number(setting[1] ?? Number.NaN);
    return {
      suspects: entries.flatMap(slowEntry),
      ...(Number.isNaN(threshold) ? {} : { thresholdMicroseconds: threshold }),
    };
  });
}

function slowEntry([, seconds, microseconds, words, addr, name]: unknown[]): Suspect[] {
  const [command, ...rest] = words as string[];
  const known = destructive(command);
  if (!known) return [];
  const isFlush = known !== 'del' && known !== 'unlink';
  return [
    {
      command: known,
      ...addressOf(String(addr ?? '')),
      ...nameOf(String(name ?? '')),
      at: new Date(Number(seconds) * 1000).toISOString(),
      microseconds: Number(microseconds),
      ...(isFlush && rest.length > 0 && rest.every((word) => /^(?:a?sync|\d{1,5})$/i.test(word))
        ? { arguments: rest.join(' ') }
        : {}),
      ...(isFlush ? {} : { keys: keysNamed(rest) }),
      source: 'slow-log',
    },
  ];
}

/** Redis shortens long lists of arguments: the last one says how many more there were. */
function keysNamed(words: readonly string[]): number {
  const more = /^\.\.\. \((\d+) more arguments\)$/.exec(words.at(-1) ?? '')?.[1];
  return more === undefined ? words.length : words.length - 1 + Number(more);
}

/** CLIENT LIST: a client that is still there names its last command, and how long ago that was. */
export async function fromClientList(
  redis: Redis,
  nowMs: number,
): Promise<Found<{ suspects: Suspect[]; connected: number }>> {
  return attempt('the list of clients', async () => {
    const lines = String(await redis.call('CLIENT', 'LIST'))
      .split('\n')
      .filter((line) => line !== '');
    return { suspects: lines.flatMap((line) => clientLine(line, nowMs)), connected: lines.length };
  });
}

function clientLine(line: string, nowMs: number): Suspect[] {
  const field = (name: string) => new RegExp(`(?:^| )${name}=(\\S*)`).exec(line)?.[1] ?? '';
  const command = destructive(field('cmd'));
  if (!command) return [];
  return [
    {
      command,
      ...addressOf(field('addr')),
      ...nameOf(field('name')),
      ...(field('user') ? { user: field('user') } : {}),
      at: new Date(nowMs - Number(field('idle') || 0) * 1000).toISOString(),
      source: 'client-list',
    },
  ];
}

/** ACL LOG: who tried and was refused. */
export async function fromAclLog(redis: Redis, nowMs: number): Promise<Found<Suspect[]>> {
  return attempt('the ACL log', async () => {
    const entries = (await redis.call('ACL', 'LOG', '128')) as unknown[][];
    return entries.flatMap((entry) => aclEntry(entry, nowMs));
  });
}

function aclEntry(entry: readonly unknown[], nowMs: number): Suspect[] {
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < entry.length; at += 2) fields.set(String(entry[at]), String(entry[at + 1]));
  const command = fields.get('reason') === 'command' ? destructive(fields.get('object')) : undefined;
  if (!command) return [];
  const client = fields.get('client-info') ?? '';
  const field = (name: string) => new RegExp(`(?:^| )${name}=(\\S*)`).exec(client)?.[1] ?? '';
  return [
    {
      command,
      ...addressOf(field('addr')),
      ...nameOf(field('name')),
      ...(fields.get('username') ? { user: fields.get('username') } : {}),
      at: new Date(nowMs - Number(fields.get('age-seconds') ?? 0) * 1000).toISOString(),
      source: 'acl-log',
      refused: true,
    },
  ];
}

/** A user who may not ask, or a server that does not know the command, is a gap in the evidence and no failure. */
async function attempt<T>(what: string, ask: () => Promise<T>): Promise<Found<T>> {
  try {
    return { value: await ask() };
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    if (/^NOPERM/.test(words)) return { why: `${what}: this user may not read it` };
    if (/^ERR unknown/i.test(words)) return { why: `${what}: this server does not have it` };
    throw error;
  }
}

/** Names that clients give themselves are theirs to choose: shown short and without anything that breaks a line. */
function nameOf(name: string): { name?: string } {
  const shown = name.replace(/[^\x21-\x7e]/g, '?').slice(0, 64);
  return shown === '' ? {} : { name: shown };
}

function addressOf(addr: string): { addr?: string } {
  return /^.+:[1-9]\d*$/.test(addr) ? { addr } : {};
}
