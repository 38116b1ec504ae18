import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { parseInfo } from '../../redis/info.ts';
import { listSandboxes, stopSandbox } from '../../restore/files/started-sandbox.ts';
import type { GateShown } from '../../workflows/gate-shown.ts';
import type { RestoreResult } from '../../workflows/restore-to-point.ts';
import type { Runbook } from './chaos-table.ts';
import type { ChaosWorld, Instance } from './chaos-world.ts';
import { dataDigest, debugAllowed } from './data-digest.ts';
import { connectTo } from './dataset.ts';
import { startRedis } from './servers.ts';
import { untilEqual } from './until-equal.ts';

/** What went wrong before the runbook is started, and what it has to come to. */
export interface ChaosScene {
  readonly workflow: string;
  readonly instance: Instance;
  readonly input: object;
  readonly reports: number;
  choice?(gate: GateShown): string | undefined;
  /** Does the damage. @returns the digest that the data must have afterwards */
  damage(world: ChaosWorld): Promise<string>;
  /** The digest of what was restored, where it is not in the instance itself. */
  restored?(world: ChaosWorld, result: unknown): Promise<string>;
}

const fromBackup = ({ choices }: GateShown) => choices.find(({ id }) => id.startsWith('backup:'))?.id;

/** A key of the backup. */
const KEY = 'counter';

export const scenes: Readonly<Record<Runbook, ChaosScene>> = {
  restoreToPoint: {
    workflow: 'restoreToPoint',
    instance: 'cache',
    input: { instance: 'cache', into: 'live', onConflict: 'take-backup' },
    reports: 1,
    choice: () => 'nothing-to-keep',
    damage: (world) => flushed(world, 'cache', 'to be replaced'),
  },
  safetyCopy: {
    workflow: 'restoreToPoint',
    instance: 'cache',
    input: { instance: 'cache', into: 'live', onConflict: 'take-backup' },
    reports: 1,
    choice: () => 'with-safety-copy',
    damage: (world) => flushed(world, 'cache', 'to be replaced'),
  },
  replaceAll: {
    workflow: 'restoreToPoint',
    instance: 'orders',
    input: { instance: 'orders', into: 'live', onConflict: 'replace-all' },
    reports: 1,
    choice: () => 'nothing-to-keep',
    damage: (world) => flushed(world, 'orders', 'to be replaced'),
  },
  intoSandbox: {
    workflow: 'restoreToPoint',
    instance: 'cache',
    input: { instance: 'cache', into: 'sandbox' },
    reports: 0,
    damage: async (world) => world.backedUp('cache'),
    restored: sandboxDigest,
  },
  accidentalFlush: {
    workflow: 'recoverAccidentalFlush',
    instance: 'orders',
    input: { instance: 'orders' },
    reports: 1,
    choice: () => 'keep-live',
    async damage(world) {
      const value = `written since ${Date.now()}`;
      const live = await connectTo(world.server('orders'));
      await live.set(KEY, value).finally(() => live.disconnect());
      const digest = await dataDigest(world.server('orders'));
      await flushed(world, 'orders', value);
      return digest;
    },
  },
  nodeCrash: {
    workflow: 'recoverNodeCrash',
    instance: 'node',
    input: { instance: 'node' },
    reports: 1,
    choice: fromBackup,
    async damage(world) {
      const { dir } = world.server('node');
      const digest = await dataDigest(world.server('node'));
      await world.killRedis('node');
      await rm(join(dir, 'dump.rdb'), { force: true });
      return digest;
    },
  },
  dataCorruption: {
    workflow: 'recoverDataCorruption',
    instance: 'node',
    input: { instance: 'node' },
    reports: 1,
    choice: fromBackup,
    async damage(world) {
      const digest = await dataDigest(world.server('node'));
      const live = await connectTo(world.server('node'));
      await live.save().finally(() => live.disconnect());
      await world.killRedis('node');
      const dump = join(world.server('node').dir, 'dump.rdb');
      const bytes = await readFile(dump);
      bytes.fill(0, bytes.length >> 1, (bytes.length >> 1) + 64);
      await writeFile(dump, bytes);
      return digest;
    },
  },
};

/** @returns the digest that the backup brings back */
async function flushed(world: ChaosWorld, instance: Instance, value: string): Promise<string> {
  const live = await connectTo(world.server(instance));
  // A server that persists nothing by itself starts with its last save, and a safety copy has saved what was flushed.
  if (instance === 'cache') await live.save();
  await live.flushall();
  await live.set(KEY, value).finally(() => live.disconnect());
  return world.backedUp(instance);
}

/** Of the only sandbox that runs, asked by a replica, for a sandbox has no DEBUG; it is ended. */
async function sandboxDigest({ on }: ChaosWorld, result: unknown): Promise<string> {
  const home = join(on.deployment.home('sandbox'), 'sandbox');
  const { url = '', passwordFile = '' } = result as RestoreResult;
  const password = (await readFile(passwordFile.slice(passwordFile.indexOf(':') + 1), 'utf8')).trim();
  const replica = await startRedis({ config: debugAllowed() });
  const asking = await connectTo(replica);
  try {
    await asking.config('SET', 'masterauth', password);
    await asking.replicaof('127.0.0.1', Number(new URL(url).port));
    await untilEqual(async () => parseInfo(await asking.info('replication')).master_link_status, 'up');
    return await dataDigest(replica);
  } finally {
    asking.disconnect();
    await replica.stop();
    const running = await listSandboxes(home);
    for (const { id } of running) await stopSandbox(home, id);
    expect(running).toHaveLength(1);
  }
}
