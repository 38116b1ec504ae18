import type { StepIO } from '../../process/step-io.ts';
import { addressOf, type RedisTarget } from '../../redis/connection.ts';
import type { SentinelGroup } from '../../redis/sentinel.ts';
import { askSentinels } from './ask-sentinels.ts';
import { type AskLimits, askServer } from './ask-server.ts';
import type { CopiesSurvey, FoundBy, ServerCopy, SilentServer } from './copies.ts';
import { Places } from './places.ts';

/** Where copies of an instance's data may be. */
export interface CopiesAsked {
  /** The configured primary, with the login that is tried at every server. */
  readonly primary: RedisTarget;
  /** Other `host:port` by which replicas know the primary (needed where its url is a unix socket). */
  readonly primaryAlso?: readonly string[];
  /** URLs of the replicas; one without a user gets the primary's. */
  readonly replicas: readonly string[];
  readonly sentinel?: SentinelGroup;
}

/** Two seconds: a server in the same network answers in milliseconds, and at three in the morning nobody waits. */
export const askLimits: AskLimits = { connectTimeoutMs: 2_000, commandTimeoutMs: 2_000 };

/** Servers that are asked at most; those named by the configuration come first. */
const SERVERS = 64;
/** Sentinel or replica names a server, that one may name another: deeper chains are not followed. */
const ROUNDS = 3;

/**
 * Asks every server that may hold a copy of the data how it stands, all at once and with bounded times: the configured
 * primary and replicas, what the Sentinels name, and what any of these names in turn. Reads only; nobody that does not
 * answer is an error.
 */
export async function surveyCopies(
  asked: CopiesAsked,
  io: Pick<StepIO, 'signal'>,
  limits: AskLimits = askLimits,
): Promise<CopiesSurvey> {
  const at = new Date().toISOString();
  const primary = addressOf(asked.primary);
  const primaryNames = [primary, ...(asked.primaryAlso ?? [])];
  const places = new Places();
  const configured = [...primaryNames, ...asked.replicas.map((url) => addressOf({ url }))];
  await places.learn(configured, limits.connectTimeoutMs);
  const isPrimary = (address: string) => primaryNames.some((name) => places.same(name, address));

  const answers: (ServerCopy | SilentServer)[] = [];
  const known: string[] = [];
  const ask = async (targets: readonly { target: RedisTarget; foundBy: FoundBy }[]) => {
    const fresh = targets.filter(({ target, foundBy }) => {
      const address = addressOf(target);
      const seen =
        known.some((each) => places.same(each, address)) || (foundBy !== 'configured-primary' && isPrimary(address));
      if (seen || known.length >= SERVERS) return false;
      known.push(address);
      return true;
    });
    answers.push(...(await Promise.all(fresh.map(({ target, foundBy }) => askServer(target, foundBy, limits)))));
  };

  const [sentinels] = await Promise.all([
    asked.sentinel ? askSentinels(asked.sentinel, limits, isPrimary) : undefined,
    ask([
      { target: asked.primary, foundBy: 'configured-primary' },
      ...asked.replicas.map((url) => ({
        target: withLogin(asked.primary, url),
        foundBy: 'configured-replica' as const,
      })),
    ]),
  ]);
  const named = (sentinels?.answers ?? []).flatMap(({ primary: one, replicas }) => [one, ...replicas]);
  const aliases = new Set<string>();
  for (let round = 0; round < ROUNDS; round += 1) {
    io.signal.throwIfAborted();
    const next = [...new Set([...named, ...namedBy(answers)])].filter((address) => /^.+:\d+$/.test(address));
    await places.learn(next, limits.connectTimeoutMs);
    for (const address of next) if (isPrimary(address)) aliases.add(address);
    const before = known.length;
    await ask(
      next.map((address) => ({
        target: atAddress(asked.primary, address),
        foundBy: named.includes(address) ? ('sentinel' as const) : ('another-server' as const),
      })),
    );
    if (known.length === before) break;
  }
  for (const name of asked.primaryAlso ?? []) aliases.add(name);
  aliases.delete(primary);
  const servers = withoutDoubles(answers.filter((each): each is ServerCopy => 'role' in each));
  return {
    at,
    primary,
    primaryAlso: [...aliases],
    servers: servers.map((each) => withLag(each, servers)),
    silent: answers.filter((each): each is SilentServer => 'code' in each),
    ...(sentinels ? { sentinels } : {}),
  };
}

/** Addresses that the answers name: whom they follow, and who follows them. */
function namedBy(answers: readonly (ServerCopy | SilentServer)[]): string[] {
  return answers.flatMap((each) =>
    'role' in each
      ? [...(each.follows ? [each.follows.address] : []), ...each.replicas.map(({ address }) => address)]
      : [],
  );
}

/** One server that was asked at two addresses is one copy. */
function withoutDoubles(servers: readonly ServerCopy[]): ServerCopy[] {
  const seen = new Set<string>();
  return servers.filter(({ runId }) => {
    if (runId !== '' && seen.has(runId)) return false;
    seen.add(runId);
    return true;
  });
}

/** Offsets can be compared only within one replication history. */
function withLag(copy: ServerCopy, servers: readonly ServerCopy[]): ServerCopy {
  const { id, offset } = copy.replication;
  const alike = servers.filter(({ replication }) => replication.id === id || replication.previousId === id);
  if (alike.length < 2) return copy;
  return { ...copy, behindBytes: Math.max(0, ...alike.map(({ replication }) => replication.offset - offset)) };
}

/** How a server is reached that the survey named: a configured replica by its own url, another with the primary's login. */
export function targetAt(asked: CopiesAsked, address: string): RedisTarget {
  if (address === addressOf(asked.primary)) return asked.primary;
  const configured = asked.replicas.find((url) => addressOf({ url }) === address);
  return configured === undefined ? atAddress(asked.primary, address) : withLogin(asked.primary, configured);
}

function withLogin(primary: RedisTarget, url: string): RedisTarget {
  const own = new URL(url);
  const login = new URL(primary.url).username;
  if (own.username === '' && login !== '' && own.protocol !== 'unix:') own.username = decodeURIComponent(login);
  return { ...primary, url: own.href };
}

function atAddress(primary: RedisTarget, address: string): RedisTarget {
  const { protocol, username } = new URL(primary.url);
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  const scheme = protocol === 'unix:' ? 'redis:' : protocol;
  const place = `${host.includes(':') ? `[${host}]` : host}:${address.slice(colon + 1)}`;
  return { ...primary, url: `${scheme}//${username ? `${username}@` : ''}${place}` };
}
