import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseInfo } from '../../redis/info.ts';
import type { Role } from '../../workers/role.ts';
import { type ChaosLink, type CutManner, startLink } from './chaos-link.ts';
import type { WarmRoles } from './chaos-roles.ts';
import type { Victim } from './chaos-table.ts';
import { dataDigest, debugAllowed } from './data-digest.ts';
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

/** What brings the victim back. */
export type BringBack = () => Promise<void>;

/**
 * One deployment with a Temporal, an S3 and servers of its own: all of it may be killed. Each role reaches them over
 * links of the test's own, which may be cut.
 */
export interface ChaosWorld {
  readonly on: S3Deployment;
  server(instance: Instance): RedisServer;
  /** Of the data as its backup holds it. */
  backedUp(instance: Instance): string;
  kill(victim: Victim, instance: Instance): Promise<BringBack>;
  /** It stands still, and all that its process does with it. */
  pause(victim: Victim, instance: Instance): Promise<BringBack>;
  /** A role is cut off from everybody, a server from every role. */
  cut(victim: Victim, instance: Instance, manner: CutManner): Promise<BringBack>;
  killRedis(instance: Instance): Promise<void>;
  /** Starts the server from its files, where none answers. */
  reviveRedis(instance: Instance): Promise<void>;
  stop(): Promise<void>;
}

/** Of what a restore puts back in a second: slow enough that its middle can be hit. */
const KEYS_PER_SECOND = 1_200;
/** Beside some of every type. */
const KEYS = 900;
/** How long what was killed stays away, beyond the time that its start takes. */
const AWAY_MS = 500;
/** What a worker's silence may last, in milliseconds. */
export const HEARTBEAT_MS = 2_000;

const roles = ['orchestrator', 'host', 'sandbox'] as const;
const roleOf: Partial<Record<Victim, Role>> = { orchestrator: 'orchestrator', agent: 'host', sandbox: 'sandbox' };

export async function startWorld(warm: WarmRoles): Promise<ChaosWorld> {
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
  const first = { ...leashed } as Record<Instance, RedisServer>;
  const links = await linksTo({ temporal, minio, first });
  const on = await startOnS3({
    servers: first,
    temporal,
    store: minio,
    timeouts: { heartbeat: `${HEARTBEAT_MS}ms`, retry: '200ms', roleSilence: '40s' },
    launch: (role, { cwd, env }) => {
      const configPath = configThrough(links.of(role), { temporal, minio }, env.REWIND_CONFIG as string, cwd);
      const words = { ...env, REWIND_CONFIG: configPath } as Record<string, string>;
      return warm.launch({ cwd, env: words, args: ['worker', '--role', role] });
    },
    instance: (name) => ({
      url: `redis://${links.redis[name as Instance]?.address ?? `127.0.0.1:${first[name as Instance].port}`}`,
      limits: { restoreKeysPerSecond: KEYS_PER_SECOND },
      ...(name === 'node' ? { host: { service: { process: { args: argsOf(first.node) } } } } : {}),
    }),
  });
  // Every case begins with a backup that is proven.
  await Promise.all(instances.map((instance) => on.deployment.backup(instance)));
  const digests = await Promise.all(instances.map((instance) => dataDigest(first[instance])));
  const backedUp = Object.fromEntries(instances.map((instance, at) => [instance, digests[at] as string]));

  const pidOf = async (victim: Victim, instance: Instance): Promise<number | undefined> => {
    const role = roleOf[victim];
    if (role) return on.deployment.pid(role);
    if (victim === 'redis') return redisPid(first[instance]);
    return victim === 'temporal' ? temporal.pid : minio.pid;
  };
  const reviveRedis = async (instance: Instance) => {
    const { port, dir } = first[instance];
    if (await answers(first[instance])) return;
    const options: RedisOptions = { port, dir, config: configOf(instance) };
    // The agent may have been quicker.
    leashed[instance] = await startRedis(options).catch(async (error) => {
      if (await answers(first[instance])) return first[instance];
      throw error;
    });
  };
  return {
    on,
    server: (instance) => first[instance],
    backedUp: (instance) => backedUp[instance] as string,
    async kill(victim, instance) {
      const role = roleOf[victim];
      if (role) {
        await on.deployment.kill9(role);
        return () => on.deployment.start(role);
      }
      // Nobody listens on the port of a dead server, and so nobody on the links to it.
      const cut = links.around(victim, instance);
      if (victim === 'redis') {
        await killRedis(first[instance]);
        await Promise.all(cut.map((link) => link.cut('refusal')));
        return async () => {
          // Where the agent's service starts it the test does so only when the run is over.
          if (instance !== 'node') await reviveRedis(instance);
          await Promise.all(cut.map((link) => link.heal()));
        };
      }
      const server = victim === 'temporal' ? temporal : minio;
      await server.kill9();
      await Promise.all(cut.map((link) => link.cut('refusal')));
      return async () => {
        await sleep(AWAY_MS);
        await server.restart();
        await Promise.all(cut.map((link) => link.heal()));
      };
    },
    async pause(victim, instance) {
      const pid = await pidOf(victim, instance);
      if (pid) process.kill(pid, 'SIGSTOP');
      return async () => {
        if (pid) process.kill(pid, 'SIGCONT');
      };
    },
    async cut(victim, instance, manner) {
      const cut = links.around(victim, instance);
      await Promise.all(cut.map((link) => link.cut(manner)));
      return async () => {
        await Promise.all(cut.map((link) => link.heal()));
      };
    },
    killRedis: (instance) => killRedis(first[instance]),
    reviveRedis,
    stop: async () => {
      await on.deployment.stop();
      for (const instance of instances) {
        await leashed[instance]?.stop();
        // One that the agent started.
        if (await answers(first[instance])) await killRedis(first[instance]);
        await folders[instance]?.remove();
      }
      await links.stop();
      await Promise.all([temporal.stop(), minio.stop()]);
    },
  };
}

type LinksOfRole = Readonly<Record<'temporal' | 's3', ChaosLink>>;

async function linksTo({
  temporal,
  minio,
  first,
}: {
  temporal: Temporal;
  minio: Minio;
  first: Record<Instance, RedisServer>;
}) {
  const ports = { temporal: portOf(temporal.address), s3: Number(new URL(minio.endpoint).port) };
  const both = async (): Promise<LinksOfRole> => ({
    temporal: await startLink(ports.temporal),
    s3: await startLink(ports.s3),
  });
  const byRole: Record<Role, LinksOfRole> = { orchestrator: await both(), host: await both(), sandbox: await both() };
  // The agent finds the server that it starts where it has told it to listen.
  const redis: Partial<Record<Instance, ChaosLink>> = {
    orders: await startLink(first.orders.port),
    cache: await startLink(first.cache.port),
  };
  const ofAll = (server: 'temporal' | 's3') => roles.map((role) => byRole[role][server]);
  const ofRedis = (instance: Instance) => (redis[instance] ? [redis[instance]] : []);
  return {
    redis,
    of: (role: Role) => byRole[role],
    around(victim: Victim, instance: Instance): ChaosLink[] {
      if (victim === 'redis') return ofRedis(instance);
      if (victim === 'temporal' || victim === 's3') return ofAll(victim);
      const { temporal: toTemporal, s3 } = byRole[roleOf[victim] as Role];
      return [toTemporal, s3, ...(victim === 'agent' ? ofRedis(instance) : [])];
    },
    stop: async () => {
      const all = [...ofAll('temporal'), ...ofAll('s3'), ...Object.values(redis)];
      await Promise.all(all.map((link) => link.stop()));
    },
  };
}

const portOf = (address: string) => Number(address.slice(address.lastIndexOf(':') + 1));

/** The deployment's configuration as one role has it: the same servers, at the near ends of its links. @returns its path */
function configThrough(
  links: LinksOfRole,
  { temporal, minio }: { temporal: Temporal; minio: Minio },
  path: string,
  home: string,
): string {
  const text = readFileSync(path, 'utf8')
    .replaceAll(temporal.address, links.temporal.address)
    .replaceAll(minio.endpoint, `http://${links.s3.address}`);
  const own = join(dirname(home), `of-${links.temporal.port}.yaml`);
  writeFileSync(own, text);
  return own;
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

async function redisPid(server: RedisServer): Promise<number | undefined> {
  const live = await connectTo(server).catch(() => undefined);
  if (!live) return undefined;
  const pid = Number(parseInfo(await live.info('server').catch(() => '')).process_id);
  live.disconnect();
  return pid || undefined;
}

async function killRedis(server: RedisServer): Promise<void> {
  const pid = await redisPid(server);
  if (!pid) return;
  process.kill(pid, 'SIGKILL');
  await untilGone([pid]);
}

async function answers(server: RedisServer): Promise<boolean> {
  const live = await connectTo(server).catch(() => undefined);
  live?.disconnect();
  return live !== undefined;
}
