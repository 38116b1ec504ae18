import { RewindError } from '../errors/rewind-error.ts';
import { type RedisTarget, withRedis } from './connection.ts';

/** The Sentinels that watch an instance. */
export interface SentinelGroup {
  /** The name that Sentinel gave the primary (`sentinel monitor <name> …`). */
  readonly master: string;
  /** `host:port`, or a URL; `rediss://` for TLS. */
  readonly addresses: readonly string[];
  /** The Sentinels' own password, not Redis'. */
  readonly password?: string;
  readonly tls?: RedisTarget['tls'];
}

export interface FoundPrimary {
  readonly host: string;
  readonly port: number;
  /** True where the Sentinels hold the primary for down: a failover is near. */
  readonly down: boolean;
  /** The Sentinel that was believed. */
  readonly askedOf: string;
  readonly skipped: readonly { readonly address: string; readonly reason: string }[];
}

/**
 * Asks every Sentinel for the primary and believes the one that has seen the latest failover (`config-epoch`): one that
 * was cut off still names the old primary. Sentinels that do not answer are skipped.
 *
 * @see https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/
 * @throws REDIS_SENTINEL_UNKNOWN_MASTER, REDIS_SENTINEL_SILENT, REDIS_REFUSED_LOGIN where none lets us in
 */
export async function findPrimary(group: SentinelGroup): Promise<FoundPrimary> {
  const asked = await Promise.allSettled(group.addresses.map((address) => ask(group, address)));
  const answers: (Answer & { address: string })[] = [];
  const failures: { address: string; error: unknown }[] = [];
  for (const [index, result] of asked.entries()) {
    const address = group.addresses[index]!;
    if (result.status === 'fulfilled') answers.push({ ...result.value, address });
    else failures.push({ address, error: result.reason });
  }
  const best = answers.reduce<(typeof answers)[number] | undefined>(
    (latest, answer) => (latest && latest.epoch >= answer.epoch ? latest : answer),
    undefined,
  );
  if (!best) throw noAnswer(group, failures);
  return {
    host: best.host,
    port: best.port,
    down: best.down,
    askedOf: best.address,
    skipped: failures.map(({ address, error }) => ({ address, reason: messageOf(error) })),
  };
}

/** The same login and TLS at the address that the Sentinels name. */
export function atPrimary(target: RedisTarget, primary: Pick<FoundPrimary, 'host' | 'port'>): RedisTarget {
  const url = new URL(target.url);
  const login = url.username ? `${url.username}@` : '';
  return { ...target, url: `${url.protocol}//${login}${inUrl(primary.host)}:${primary.port}` };
}

interface Answer {
  readonly host: string;
  readonly port: number;
  readonly epoch: number;
  readonly down: boolean;
}

async function ask(group: SentinelGroup, address: string): Promise<Answer> {
  const url = address.includes('://') ? address : `redis://${address}`;
  return withRedis({ url, password: group.password, tls: group.tls }, async (sentinel) => {
    const reply = (await sentinel.call('SENTINEL', 'MASTER', group.master)) as string[];
    const fields = new Map<string, string>();
    for (let at = 0; at + 1 < reply.length; at += 2) fields.set(reply[at]!, reply[at + 1]!);
    return {
      host: fields.get('ip') ?? '',
      port: Number(fields.get('port')),
      epoch: Number(fields.get('config-epoch') ?? 0),
      down: /[so]_down/.test(fields.get('flags') ?? ''),
    };
  });
}

function noAnswer(group: SentinelGroup, failures: readonly { address: string; error: unknown }[]): RewindError {
  const told = failures.map(({ address, error }) => `${address}: ${messageOf(error)}`).join('; ');
  if (failures.some(({ error }) => /No such master/i.test(messageOf(error)))) {
    return new RewindError(
      'REDIS_SENTINEL_UNKNOWN_MASTER',
      `No Sentinel knows a primary named ${group.master} (${told}).`,
    );
  }
  const refused = failures.find(({ error }) => error instanceof RewindError && error.code === 'REDIS_REFUSED_LOGIN');
  if (refused) return refused.error as RewindError;
  return new RewindError(
    'REDIS_SENTINEL_SILENT',
    `No Sentinel answered for ${group.master}: ${told || 'none is named'}.`,
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function inUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
