import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { foundParts } from '../process/found-parts.ts';
import { startLeashed } from '../process/leash.ts';
import { untilReady } from '../process/until-ready.ts';
import type { ConfigDefaults } from '../redis/config-diff.ts';
import { withRedis } from '../redis/connection.ts';
import { measureDefaults } from '../redis/server-description.ts';
import { findServers } from './servers.ts';

/** What has to be set to start a server that nobody else can reach; the defaults of these are not known. */
const SET_AT_START = ['port', 'unixsocket', 'unixsocketperm', 'dir', 'save', 'daemonize'];
const START_MS = 10_000;

const measured = new Map<string, Promise<ConfigDefaults | undefined>>();

/**
 * How a server of exactly this version is configured by itself: an empty one is started for a moment and asked. There is
 * no table of defaults: they move from release to release and with the build.
 *
 * @returns undefined where this machine has no program of that version
 */
export function defaultsOf(server: { name: 'redis' | 'valkey'; version: string }): Promise<ConfigDefaults | undefined> {
  const key = `${server.name} ${server.version}`;
  const known = measured.get(key) ?? measure(server).catch(() => undefined);
  measured.set(key, known);
  return known;
}

async function measure(wanted: { name: string; version: string }): Promise<ConfigDefaults | undefined> {
  const parts = Object.values(foundParts()).flatMap((part) => ('path' in part ? [part.path] : []));
  const candidates = [`${wanted.name}-server`, ...parts.filter((path) => /(redis|valkey)-server$/.test(path))];
  const program = (await findServers(candidates)).find(
    ({ name, version }) => name === wanted.name && version === wanted.version,
  );
  if (!program) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'rewind-defaults-'));
  const socket = join(folder, 'redis.sock');
  const lines = [
    'port 0',
    `unixsocket ${socket}`,
    'unixsocketperm 700',
    `dir "${folder}"`,
    'save ""',
    'daemonize no',
    '',
  ];
  const server = await startLeashed({
    name: 'pristine server',
    command: program.path,
    args: ['-'],
    cwd: folder,
    cleanup: [folder],
    stdin: lines.join('\n'),
  });
  const ask = <T>(use: Parameters<typeof withRedis<T>>[1]) => withRedis({ url: `unix://${socket}` }, use);
  try {
    await untilReady(server, () => ask(async () => true), { timeoutMs: START_MS });
    return await ask((redis) => measureDefaults(redis, SET_AT_START));
  } finally {
    await server.stop();
  }
}
