import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type CrashDecision, decideCrash } from '../../incident/crash/decide.ts';
import { detachReplicas } from '../../incident/crash/detach-replicas.ts';
import { readLocalFiles } from '../../incident/crash/local-files.ts';
import { localSettings } from '../../incident/crash/local-settings.ts';
import { type CopiesAsked, surveyCopies } from '../../incident/crash/survey-copies.ts';
import type { BackupEntry } from '../../repository/catalogue.ts';
import { backup } from '../support/crash-facts.ts';
import { type Node, ReplicaSet, untilSynced } from '../support/replication.ts';
import { type Flavour, missingFlavour } from '../support/servers.ts';

const set = new ReplicaSet();
const io = { signal: new AbortController().signal, onProgress: () => {} };

afterEach(() => set.stop());

async function decide(
  node: Node,
  replicas: readonly Node[],
  backups: readonly BackupEntry[] = [],
): Promise<CrashDecision> {
  const asked: CopiesAsked = { primary: { url: node.url }, replicas: replicas.map(({ url }) => url) };
  const settings = localSettings({ dir: node.server.dir }, 'a test');
  if (!settings) throw new Error('no settings');
  return decideCrash({ survey: await surveyCopies(asked, io), local: await readLocalFiles(settings, io), backups });
}

const proven = (secondsAgo: number, keys: number) =>
  backup(0, { id: '20261124T110000Z-1f3a9c04', time: new Date(Date.now() - secondsAgo * 1000).toISOString(), keys });

describe.each<Flavour>(['redis-7.0', 'redis-8.2', 'valkey-9'])('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour))(
    'a dump that is one write older than the replica is not what the primary is started from',
    async () => {
      const a = await set.start({ flavour });
      await a.redis.mset('k1', 'v', 'k2', 'v');
      const b = await set.replica(a, { flavour });
      // The save that the replica's synchronization began may still run: SAVE refuses beside it.
      const save = () => a.redis.save().catch((error: Error) => error.message);
      await expect.poll(save, { timeout: 30_000 }).toBe('OK');
      await a.redis.set('k3', 'after the save');
      await untilSynced(a.redis, b.redis);
      await a.server.kill9();
      await expect.poll(() => b.redis.info('replication'), { timeout: 30_000 }).toContain('master_link_status:down');
      const decision = await decide(a, [b]);
      expect(decision).toMatchObject({ primaryMayStart: false, default: `promote:${b.address}` });
      expect(decision.choices.map(({ kind }) => kind)).toEqual(['promote', 'dump-from']);
      expect(decision.choices[0]).toMatchObject({ keys: 3 });
      expect(decision.findings.join(' ')).toContain('not shown to be as new');
    },
  );
});

test('started by hand against the decision, the primary takes its replica down with it; taken off, the replica keeps all', async () => {
  const a = await set.start();
  const keys = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`k${index}`, 'v']));
  await a.redis.mset(keys);
  const [b, c] = [await set.replica(a), await set.replica(a)];
  await a.server.kill9();
  expect(await decide(a, [b, c])).toMatchObject({ primaryMayStart: false });
  await detachReplicas({ primary: { url: a.url }, replicas: [b.url, c.url] }, [c.address], {}, io);
  // What systemd's Restart=always would have done: it keeps nothing on disk, so it comes back empty.
  await a.server.restart();
  await expect.poll(() => b.redis.dbsize(), { timeout: 30_000 }).toBe(0);
  expect(await c.redis.dbsize()).toBe(1_000);
}, 60_000);

test('an emptied dump, and one put back from last week, wait for a person who is offered the backup', async () => {
  const a = await set.start({ config: { save: '3600 1' } });
  await a.redis.mset('k1', 'v', 'k2', 'v');
  await a.redis.save();
  const old = join(a.server.dir, 'last-week.rdb');
  await copyFile(join(a.server.dir, 'dump.rdb'), old);
  await a.redis.flushall();
  await a.server.kill9();
  const backups = [proven(30, 1_000)];
  const emptied = await decide(a, [], backups);
  expect(emptied).toMatchObject({
    primaryMayStart: false,
    default: `backup:${backups[0]?.id}`,
    local: { state: 'empty' },
  });
  await copyFile(old, join(a.server.dir, 'dump.rdb'));
  const older = await decide(
    a,
    [],
    [{ ...(backups[0] as BackupEntry), time: new Date(Date.now() + 60_000).toISOString(), keys: 2 }],
  );
  expect(older).toMatchObject({ primaryMayStart: false, local: { state: 'older' } });
});

test('a node alone with a good dump starts by itself, and the window of loss is two times', async () => {
  const a = await set.start();
  await a.redis.mset('k1', 'v', 'k2', 'v');
  await a.redis.save();
  await a.server.kill9();
  const decision = await decide(a, [], [proven(3_600, 2)]);
  expect(decision).toMatchObject({ primaryMayStart: true, default: 'start-local', local: { state: 'good' } });
  const { from, to } = decision.lossWindow;
  expect(Date.parse(to ?? '')).toBeGreaterThanOrEqual(Date.parse(from ?? ''));
});
