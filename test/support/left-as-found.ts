import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListMultipartUploadsCommand, paginateListObjectsV2, type S3Client } from '@aws-sdk/client-s3';
import { expect } from 'vitest';
import type { PublishedBackup } from '../../backup/publish.ts';
import { parseInfo } from '../../redis/info.ts';
import { tiers } from '../../repository/layout.ts';
import { searchAttributes } from '../../workflows/search-attributes.ts';
import { connectTo } from './dataset.ts';
import type { Deployment } from './deployment.ts';
import { type S3Access, s3Client } from './s3-store.ts';
import type { RedisServer } from './servers.ts';

/** Where a fault is made: one instance of a deployment, its server, and the store behind any proxy. */
export interface Scene {
  readonly deployment: Deployment;
  readonly instance: string;
  readonly redis: RedisServer;
  readonly store: S3Access & { readonly bucket: string; readonly prefix: string };
}

/** How long killed processes and their folders may take to go, in milliseconds. */
const PATIENCE_MS = 40_000;

/** Notes how things are before a fault. What is asked later must find them so again. */
export async function lookAround(scene: Scene) {
  const before = { ...(await redisAsItIs(scene.redis)), saving: '0', rewriting: '0' };

  /** Every trace of a run that should be gone, each a sentence. */
  const traces = async (): Promise<string[]> => [
    ...differences(before, await redisAsItIs(scene.redis)),
    ...(await filesBeside(scene.redis)),
    ...(await leftByRoles(scene.deployment)),
    ...(await leftInStore(scene)),
  ];

  const nothingIsLeft = async (apartFrom?: string): Promise<void> => {
    for (const until = Date.now() + PATIENCE_MS; ; await sleep(200)) {
      const found = (await traces()).filter((trace) => !apartFrom || !trace.includes(apartFrom));
      if (found.length === 0 || Date.now() > until) return expect(found).toEqual([]);
    }
  };
  return {
    /**
     * No file, process, upload or half-made backup; Redis with the settings, users and replicas that it had.
     *
     * @param apartFrom what stands in traces that are known to stay
     */
    nothingIsLeft,
    /** The fault has no after-effect: the next backup is verified, and leaves nothing either. */
    nextRunSucceeds: async (): Promise<PublishedBackup> => {
      const { backup } = await scene.deployment.backup(scene.instance);
      expect(backup).toMatchObject({ state: 'verified' });
      await nothingIsLeft();
      return backup;
    },
  };
}

/** A test that means to change a setting notes it after the change. */
async function redisAsItIs(server: RedisServer): Promise<Record<string, string>> {
  const redis = await connectTo(server);
  try {
    const config = (await redis.config('GET', '*')) as string[];
    const settings = config.flatMap((name, at) => (at % 2 === 0 ? [[`config ${name}`, config[at + 1] ?? '']] : []));
    const users = ((await redis.acl('LIST')) as string[]).map((line) => [`user ${line}`, 'there']);
    const { role, connected_slaves } = parseInfo(await redis.info('replication'));
    const { rdb_bgsave_in_progress, aof_rewrite_in_progress } = parseInfo(await redis.info('persistence'));
    const ours = ((await redis.client('LIST')) as string)
      .split('\n')
      .filter((line) => line.includes('name=redis-rewind'));
    return {
      ...Object.fromEntries([...settings, ...users]),
      role: role ?? '',
      replicas: connected_slaves ?? '',
      saving: rdb_bgsave_in_progress ?? '',
      rewriting: aof_rewrite_in_progress ?? '',
      'connections of ours': String(ours.length),
    };
  } finally {
    redis.disconnect();
  }
}

function differences(before: Record<string, string>, after: Record<string, string>): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((name) => before[name] !== after[name])
    .map((name) => `Redis: ${name} was ${before[name] ?? 'not there'}, is ${after[name] ?? 'not there'}`);
}

/** The pin's folder, and what a killed save leaves. */
async function filesBeside({ dir }: RedisServer): Promise<string[]> {
  return (await readdir(dir))
    .filter((name) => name === '.rewind' || name.startsWith('temp-'))
    .map((name) => join(dir, name));
}

/** Nothing is asked while another run of this deployment is under way: its files would be taken for leftovers. */
async function leftByRoles(deployment: Deployment): Promise<string[]> {
  const found = [...(await filesOfRoles(deployment)), ...(await processesOf(deployment))];
  const runs = await Promise.all(deployment.runs().map((run) => run.describe()));
  return runs.some(({ status }) => status.name === 'RUNNING') ? [] : found;
}

/** Proofs of the sandbox, sockets of its servers, locks of the host. */
async function filesOfRoles(deployment: Deployment): Promise<string[]> {
  const below = async (folder: string) =>
    (await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []))
      .filter((entry) => entry.name !== 'redis-rewind-fork-turn')
      .map((entry) => join(entry.parentPath, entry.name));
  return [
    ...(await below(join(deployment.home('sandbox'), 'sandbox', 'proofs'))),
    ...(await below(deployment.temporaryFolder('sandbox'))),
    ...(await below(deployment.temporaryFolder('host'))),
  ];
}

/** Every process that was started on behalf of a worker, told by the environment it was given; the workers are none. */
async function processesOf(deployment: Deployment): Promise<string[]> {
  const roles = ['orchestrator', 'host', 'sandbox'] as const;
  const workers = roles.map((role) => deployment.pid(role));
  const marks = roles.map((role) => `REWIND_HOME=${deployment.home(role)}\0`);
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0 && !workers.includes(pid));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
      if (!marks.some((mark) => environment.includes(mark))) return [];
      const words = await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '');
      return [`process ${pid}: ${words.replaceAll('\0', ' ')}`];
    }),
  );
  return found.flat();
}

async function leftInStore(scene: Scene): Promise<string[]> {
  const client = s3Client(scene.store);
  try {
    return [...(await halfMade(client, scene)), ...(await openUploads(client, scene))];
  } finally {
    client.destroy();
  }
}

/** A directory without a manifest is no backup, and nobody would ever remove it. */
async function halfMade(client: S3Client, { instance, store }: Scene): Promise<string[]> {
  const places = tiers.map((tier) => `${store.prefix}/${tier}/${instance}/`);
  const keys = (await Promise.all(places.map((place) => keysBelow(client, store.bucket, place)))).flat();
  const kept = keys.filter((key) => key.endsWith('/manifest.json')).map((key) => key.slice(0, -'manifest.json'.length));
  return keys
    .filter((key) => !kept.some((directory) => key.startsWith(directory)))
    .map((key) => `in the store: ${key}`);
}

/** A store answers a thousand at a time. */
async function keysBelow(client: S3Client, bucket: string, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { Contents } of paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix })) {
    keys.push(...(Contents ?? []).map(({ Key }) => Key as string));
  }
  return keys;
}

/** Asked for by their exact names: MinIO lists no others. */
async function openUploads(client: S3Client, { deployment, instance, store }: Scene): Promise<string[]> {
  const runs = await Promise.all(deployment.runs(instance).map((run) => run.describe()));
  const ids = runs.flatMap((run) => run.typedSearchAttributes.get(searchAttributes.backupId) ?? []);
  const names = ids.flatMap((id) => tiers.map((tier) => `${store.prefix}/${tier}/${instance}/${id}/dump.rdb`));
  const found = await Promise.all(
    names.map(async (name) => {
      const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: store.bucket, Prefix: name }));
      return (Uploads ?? []).map(({ Key, UploadId }) => `open upload ${UploadId} of ${Key}`);
    }),
  );
  return found.flat();
}
