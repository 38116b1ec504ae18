import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { detachReplicas } from '../../incident/crash/detach-replicas.ts';
import { promoteReplica } from '../../incident/crash/promote.ts';
import { repointReplicas } from '../../incident/crash/repoint-replicas.ts';
import { startAsReplica } from '../../incident/crash/start-as-replica.ts';
import { type CopiesAsked, surveyCopies } from '../../incident/crash/survey-copies.ts';
import { connectRedis } from '../../redis/connection.ts';
import { readInfo } from '../../redis/info.ts';
import { type Node, ReplicaSet, untilSynced } from '../support/replication.ts';
import { startSentinel } from '../support/sentinel.ts';
import { type Flavour, missingFlavour } from '../support/servers.ts';

const set = new ReplicaSet();
const io = { signal: new AbortController().signal, onProgress: () => {} };

afterEach(() => set.stop());

const asked = (primary: Node, ...replicas: Node[]): CopiesAsked => ({
  primary: { url: primary.url },
  replicas: replicas.map(({ url }) => url),
});

async function role(node: Node): Promise<string | undefined> {
  return (await readInfo(node.redis, 'replication')).role;
}

/** The replica has noticed that its primary is gone. */
async function untilAlone(replica: Node): Promise<void> {
  await expect
    .poll(async () => (await readInfo(replica.redis, 'replication')).master_link_status, { timeout: 30_000 })
    .toBe('down');
}

describe.each<Flavour>(['redis-7.0', 'redis-8.2', 'valkey-9'])('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour))(
    'a replica is promoted, the others follow it, and the crashed node comes back as its replica with its data',
    async () => {
      const a = await set.start({ flavour, config: { save: '3600 1' } });
      await a.redis.mset('k1', 'old', 'k2', 'v');
      await a.redis.save();
      const b = await set.replica(a, { flavour });
      const c = await set.replica(a, { flavour });
      await a.redis.mset('k1', 'new', 'k3', 'v');
      await untilSynced(a.redis, b.redis);
      await untilSynced(a.redis, c.redis);
      await a.server.kill9();
      await untilAlone(b);
      const plan = asked(a, b, c);
      const runId = (await surveyCopies(plan, io)).servers.find(({ address }) => address === b.address)?.runId;
      const promotion = await promoteReplica(plan, b.address, { runId, repoint: true }, io);
      expect(promotion).toMatchObject({
        address: b.address,
        by: 'replicaof',
        alreadyDone: false,
        keys: 3,
        repointed: [{ address: c.address, inSync: true }],
      });
      // Done twice it is done once.
      expect(await promoteReplica(plan, b.address, { runId, repoint: true }, io)).toMatchObject({
        alreadyDone: true,
        keys: 3,
      });
      await b.redis.set('k4', 'written since');
      await expect.poll(() => c.redis.get('k4'), { timeout: 20_000 }).toBe('written since');

      await a.server.restart();
      const followed = await startAsReplica(plan, b.address, {}, io);
      expect(followed).toMatchObject({ primary: b.address, alreadyDone: false, keys: 4, written: false });
      const again = await set.connect(a.server);
      expect(await again.mget('k1', 'k4')).toEqual(['new', 'written since']);
      expect(await startAsReplica(plan, b.address, {}, io)).toMatchObject({ alreadyDone: true });
      expect(await b.redis.dbsize()).toBe(4);
    },
    90_000,
  );
});

test('nothing is promoted when the primary answers again, or another one was promoted meanwhile', async () => {
  const a = await set.start();
  await a.redis.set('k', 'v');
  const b = await set.replica(a);
  const c = await set.replica(a);
  const plan = asked(a, b, c);
  await expect(promoteReplica(plan, b.address, {}, io)).rejects.toMatchObject({
    code: 'CRASH_WORLD_CHANGED',
    message: expect.stringContaining('answers again'),
    retryable: false,
  });
  await a.server.kill9();
  await c.redis.replicaof('NO', 'ONE');
  await expect(promoteReplica(plan, b.address, {}, io)).rejects.toMatchObject({
    code: 'CRASH_WORLD_CHANGED',
    message: expect.stringContaining(c.address),
  });
  expect(await role(b)).toBe('slave');
});

test('replicas that still point at the node are taken over by the promoted one before the node is started', async () => {
  const a = await set.start();
  await a.redis.set('k', 'v');
  const [b, c] = [await set.replica(a), await set.replica(a)];
  const plan = asked(a, b, c);
  await expect(repointReplicas(plan, b.address, {}, io)).rejects.toMatchObject({ code: 'CRASH_WORLD_CHANGED' });
  await a.server.kill9();
  await b.redis.replicaof('NO', 'ONE');
  expect(await repointReplicas(plan, b.address, {}, io)).toEqual([{ address: c.address, inSync: true }]);
  // The node comes back empty, and as a primary: nobody copies that.
  await a.server.restart();
  expect(await c.redis.dbsize()).toBe(1);
  // A second primary is nothing that may pass for done.
  await expect(promoteReplica(plan, b.address, {}, io)).rejects.toMatchObject({
    code: 'CRASH_WORLD_CHANGED',
    message: expect.stringContaining('answers again'),
  });
  expect(await startAsReplica(plan, b.address, {}, io)).toMatchObject({ keys: 1 });
});

test('a replica that was restarted, emptied or is gone since the plan is not promoted', async () => {
  const a = await set.start();
  await a.redis.set('k', 'v');
  const b = await set.replica(a);
  const plan = asked(a, b);
  const runId = (await surveyCopies(plan, io)).servers.find(({ address }) => address === b.address)?.runId;
  await a.server.kill9();
  await untilAlone(b);
  await expect(promoteReplica(plan, b.address, { runId: 'f'.repeat(40) }, io)).rejects.toMatchObject({
    code: 'CRASH_WORLD_CHANGED',
    message: expect.stringContaining('restarted'),
  });
  // What a full synchronization left on its disk would be loaded again, as old as it is.
  await b.server.kill9();
  await rm(join(b.server.dir, 'dump.rdb'), { force: true });
  await b.server.restart();
  await expect(promoteReplica(plan, b.address, {}, io)).rejects.toMatchObject({
    code: 'CRASH_WORLD_CHANGED',
    message: expect.stringContaining('no keys'),
  });
  await b.server.kill9();
  await expect(promoteReplica(plan, b.address, { runId }, io)).rejects.toMatchObject({
    code: 'CRASH_WORLD_CHANGED',
    message: expect.stringContaining('does not answer'),
  });
});

test('a replica that refuses is said to refuse', async () => {
  const a = await set.start();
  await a.redis.set('k', 'v');
  const b = await set.replica(a);
  await a.server.kill9();
  await b.redis.call('ACL', 'SETUSER', 'default', '-replicaof');
  await expect(promoteReplica(asked(a, b), b.address, {}, io)).rejects.toMatchObject({
    code: 'CRASH_PROMOTION_REFUSED',
    message: expect.stringContaining('NOPERM'),
  });
  expect(await role(b)).toBe('slave');
});

test('replicas that are taken off keep what they hold when the node starts empty', async () => {
  const a = await set.start();
  await a.redis.mset('k1', 'v', 'k2', 'v');
  const b = await set.replica(a);
  await a.server.kill9();
  await untilAlone(b);
  const plan = asked(a, b);
  expect(await detachReplicas(plan, [b.address], {}, io)).toEqual({ detached: [b.address] });
  expect(await detachReplicas(plan, [b.address], {}, io)).toEqual({ detached: [b.address] });
  await a.server.restart();
  const after = await set.connect(a.server);
  expect(await after.dbsize()).toBe(0);
  // A detached replica does not follow again by itself: its data stands.
  await new Promise((settle) => setTimeout(settle, 1_500));
  expect(await b.redis.dbsize()).toBe(2);
  expect(await role(b)).toBe('master');
});

test('the node does not follow what is no primary, nor one of two', async () => {
  const a = await set.start();
  await a.redis.set('k', 'v');
  const b = await set.replica(a);
  const c = await set.replica(a);
  const plan = asked(a, b, c);
  await expect(startAsReplica(plan, b.address, {}, io)).rejects.toMatchObject({ code: 'CRASH_WORLD_CHANGED' });
  await b.redis.replicaof('NO', 'ONE');
  await c.redis.replicaof('NO', 'ONE');
  await expect(startAsReplica(plan, b.address, {}, io)).rejects.toMatchObject({
    code: 'CRASH_WORLD_CHANGED',
    message: expect.stringContaining(c.address),
  });
  expect(await startAsReplica(plan, b.address, { knownPrimaries: [c.address] }, io)).toMatchObject({ keys: 1 });
  await a.server.kill9();
  await expect(startAsReplica(plan, b.address, { knownPrimaries: [c.address] }, io)).rejects.toMatchObject({
    code: 'REDIS_UNREACHABLE',
    retryable: true,
  });
});

test('a link that does not come up is an error that names it, and the primary keeps its data', async () => {
  const a = await set.start();
  const b = await set.start();
  await b.redis.set('k', 'v');
  await b.redis.call('ACL', 'SETUSER', 'default', '-psync', '-sync');
  await expect(startAsReplica(asked(a, b), b.address, { timeoutMs: 3_000 }, io)).rejects.toMatchObject({
    code: 'CRASH_LINK_NOT_UP',
    retryable: true,
  });
  expect(await b.redis.dbsize()).toBe(1);
});

test('where Sentinels watch, they promote: what is done behind their back they would undo', async () => {
  const a = await set.start();
  await a.redis.set('k', 'v');
  const b = await set.replica(a);
  const sentinel = await startSentinel({
    primaryPort: a.server.port,
    // It would wait for minutes before it acts by itself: the failover is ours.
    config: ['sentinel down-after-milliseconds main 600000', 'sentinel failover-timeout main 10000'],
  });
  set.later(() => sentinel.stop());
  const plan: CopiesAsked = {
    primary: { url: a.url },
    replicas: [],
    sentinel: { master: 'main', addresses: [`127.0.0.1:${sentinel.port}`] },
  };
  const control = await connectRedis({ url: `redis://127.0.0.1:${sentinel.port}` });
  set.later(() => control.disconnect());
  await expect
    .poll(async () => String(await control.call('SENTINEL', 'REPLICAS', 'main')), { timeout: 30_000 })
    .toContain('master-link-status,ok');
  await a.server.kill9();
  const promotion = await promoteReplica(plan, b.address, { timeoutMs: 90_000 }, io);
  expect(promotion).toMatchObject({ address: b.address, by: 'sentinel', alreadyDone: false, keys: 1 });
  expect(await promoteReplica(plan, b.address, {}, io)).toMatchObject({ alreadyDone: true });
  expect((await surveyCopies(plan, io)).sentinels).toMatchObject({ promoted: true, primary: b.address });
  await a.server.restart();
  expect(await startAsReplica(plan, b.address, { timeoutMs: 60_000 }, io)).toMatchObject({
    primary: b.address,
    keys: 1,
  });
}, 180_000);
