import { setTimeout as sleep } from 'node:timers/promises';
import { parseInfo } from '../../redis/info.ts';
import type { Role } from '../../workers/role.ts';
import type { Victim } from './chaos-table.ts';
import { debugAllowed } from './data-digest.ts';
import { connectTo, fillEveryType } from './dataset.ts';
import { type Minio, startMinio } from './minio.ts';
import { type S3Deployment, startOnS3 } from './s3-deployment.ts';
import { type RedisOptions, type RedisServer, startRedis } from './servers.ts';
import { startTemporal, type Temporal } from './temporal.ts';
import { type TemporaryFolder, temporaryFolder } from './temporary-folder.ts';
import { untilGone } from './until-gone.ts';

/**
 * `orders` has an append-only file and users with rights, `cache` keeps nothing on its disk, and the files of `node` lie
 * beside a service by which the agent starts it.
 */
export const instances = ['orders', 'cache', 'node'] as const;
export type Instance = (typeof instances)[number];

/** One deployment with a Temporal, an S3 and servers of its own: all of it may be killed. */
export interface ChaosWorld {
  readonly on: S3Deployment;
  server(instance: Instance): RedisServer;
  /** Kills, and returns what brings the victim back. */
  kill(victim: Victim, instance: Instance): Promise<() => Promise<void>>;
  killRedis(instance: Instance): Promise<void>;
  /** Starts the server from its files, where none answers. */
  reviveRedis(instance: Instance): Promise<void>;
  stop(): Promise<void>;
}

/** Of what a restore puts back in a second: slow enough that its middle can be hit. */
const KEYS_PER_SECOND = 1_200;
/** Beside some of every type. */
const KEYS = 2_400;
/** How long what was killed stays away, beyond the time that its start takes. */
const AWAY_MS = 1_000;

const roles: Partial<Record<Victim, Role>> = { orchestrator: 'orchestrator', agent: 'host', sandbox: 'sandbox' };

export async function startWorld(): Promise<ChaosWorld> {
  const folders: Partial<Record<Instance, TemporaryFolder>> = {};
  const leashed: Partial<Record<Instance, RedisServer>> = {};
  const [temporal, minio] = await Promise.all([startTemporal(), startMinio()]);
  await Promise.all(
    instances.map(async (instance) => {
      const folder = await temporaryFolder(`chaos-${instance}`);
      folders[instance] = folder;
      const server = await startRedis({ dir: folder.path, config: configOf(instance) });
      leashed[instance] = server;
      await fillEveryType(server);
      const live = await connectTo(server);
      await live.call('DEBUG', 'POPULATE', KEYS, 'key', 16).finally(() => live.disconnect());
    }),
  );
  const first = leashed as Record<Instance, RedisServer>;
  const on = await startOnS3({
    servers: first,
    temporal,
    store: minio,
    instance: (name) => ({
      limits: { restoreKeysPerSecond: KEYS_PER_SECOND },
      ...(name === 'node' ? { host: { service: { process: { args: argsOf(first.node) } } } } : {}),
    }),
  });
  // Every case begins with a backup that is proven, and ends with the next one's.
  await Promise.all(instances.map((instance) => on.deployment.backup(instance)));
  const world: ChaosWorld = {
    on,
    server: (instance) => first[instance],
    kill: async (victim, instance) => killIn({ temporal, minio, on }, world, victim, instance),
    killRedis: (instance) => killRedis(first[instance]),
    reviveRedis: async (instance) => {
      const { port, dir } = first[instance];
      if (await answers(first[instance])) return;
      const options: RedisOptions = { port, dir, config: configOf(instance) };
      // The agent may have been quicker.
      leashed[instance] = await startRedis(options).catch(async (error) => {
        if (await answers(first[instance])) return first[instance];
        throw error;
      });
    },
    stop: async () => {
      await on.deployment.stop();
      for (const instance of instances) {
        await leashed[instance]?.stop();
        // One that the agent started.
        if (await answers(first[instance])) await killRedis(first[instance]);
        await folders[instance]?.remove();
      }
      await Promise.all([temporal.stop(), minio.stop()]);
    },
  };
  return world;
}

function configOf(instance: Instance): RedisOptions['config'] {
  if (instance !== 'orders') return debugAllowed();
  return {
    ...debugAllowed(),
    appendonly: 'yes',
    user: ['app on >app-password ~* &* +@all', 'jobs on >jobs-password ~jobs:* +@read +@list (~cart:* +@write)'],
  };
}

/** The same server as the test's own, told by arguments. */
const argsOf = ({ port, dir }: RedisServer): string[] => [
  ...['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no'],
  ...['--enable-debug-command', 'local'],
];

async function killIn(
  { temporal, minio, on }: { temporal: Temporal; minio: Minio; on: S3Deployment },
  world: ChaosWorld,
  victim: Victim,
  instance: Instance,
): Promise<() => Promise<void>> {
  const role = roles[victim];
  if (role) {
    await on.deployment.kill9(role);
    return () => on.deployment.start(role);
  }
  if (victim === 'redis') {
    await world.killRedis(instance);
    // Where the agent's service starts it the test does so only when the run is over.
    return async () => (instance === 'node' ? undefined : world.reviveRedis(instance));
  }
  const server = victim === 'temporal' ? temporal : minio;
  await server.kill9();
  return async () => {
    await sleep(AWAY_MS);
    await server.restart();
  };
}

async function killRedis(server: RedisServer): Promise<void> {
  const live = await connectTo(server).catch(() => undefined);
  if (!live) return;
  const pid = Number(parseInfo(await live.info('server').catch(() => '')).process_id);
  live.disconnect();
  if (!pid) return;
  process.kill(pid, 'SIGKILL');
  await untilGone([pid]);
}

async function answers(server: RedisServer): Promise<boolean> {
  const live = await connectTo(server).catch(() => undefined);
  live?.disconnect();
  return live !== undefined;
}
