import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { archiveFacts } from '../../cli/status/archive-facts.ts';
import type { Progress } from '../../workflows/run-story.ts';
import { followable, inTheFile, until } from '../support/archive.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { type Deployment, startDeployment } from '../support/deployment.ts';
import { approve, untilAsked } from '../support/flush-incident.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

let folder: TemporaryFolder;
let orders: RedisServer;
let payments: RedisServer;
let stock: RedisServer;
let on: Deployment;

beforeAll(async () => {
  folder = await temporaryFolder('loss-noticed');
  const config = { ...followable, ...debugAllowed() };
  [orders, payments, stock] = await Promise.all([
    startRedis({ config }),
    startRedis({ config }),
    startRedis({ config }),
  ]);
  await Promise.all([orders, payments, stock].map(fillEveryType));
  on = await startDeployment({
    temporal: inject('temporal'),
    config: {
      repository: { url: pathToFileURL(join(folder.path, 'store')).href },
      instances: {
        orders: { url: orders.url, archive: { segmentEvery: '200ms', onLoss: 'fence' } },
        stock: { url: stock.url, archive: { segmentEvery: '200ms', onLoss: 'fence' } },
        payments: { url: payments.url, archive: { segmentEvery: '200ms' } },
      },
    },
  });
  await on.cli('apply');
}, 600_000);
afterAll(async () => {
  await on?.stop();
  await Promise.all([orders?.stop(), payments?.stop(), stock?.stop()]);
  await folder?.remove();
});

async function statusOf(instance: string) {
  const { stdout } = await on.cli('status', instance, '--json');
  return JSON.parse(stdout).instances[instance];
}

/** Until somebody follows it: that the files are the server's own shows when it writes. */
async function followed(instance: string, server: RedisServer): Promise<void> {
  const redis = await connectTo(server);
  await until(
    `${instance} is followed`,
    async () => {
      await redis.set('looked:for', '1');
      const { figures } = await archiveFacts(on.client, instance);
      return figures?.state === 'following' && figures.timeline === 1;
    },
    150_000,
  );
  redis.disconnect();
}

const counted = async (instance: string) =>
  (await on.client.workflow.count(`WorkflowType = 'recoverAccidentalFlush' AND RewindInstance = '${instance}'`)).count;

const patient = { timeout: 400_000 };

test(
  'onLoss: fence: writes are refused at once, the runbook waits at its gate, and what was flushed comes back',
  patient,
  async () => {
    await followed('orders', orders);
    const digest = await dataDigest(orders);
    const live = await connectTo(orders);
    const writer = await connectTo(orders);
    const flushedAt = performance.now();
    await live.flushall();
    const refusedAfter = await until('a write is refused', async () => {
      const answer = await writer.set('came:since', 'stays').catch((error: Error) => error);
      await sleep(2);
      return answer instanceof Error && /NOPERM/.test(answer.message) && performance.now() - flushedAt;
    });
    expect(refusedAfter).toBeLessThan(60_000);
    const recovering = on.client.workflow.getHandle('accidental-flush/orders');
    const waiting = await untilAsked(recovering, 'waiting-for-approval', 250_000);
    const { losses } = await statusOf('orders');
    expect(losses).toMatchObject([{ kind: 'flush', command: 'rewind runbook accidental-flush orders' }]);

    await approve(recovering, waiting, 'keep-live');
    expect(await recovering.result()).toMatchObject({ recovered: true });
    expect(await live.get('came:since')).toBe('stays');
    await live.del('came:since');
    expect(await dataDigest(orders)).toBe(digest);
    expect((await statusOf('orders')).losses).toBeUndefined();
    expect(await counted('orders')).toBe(1);
    const timeline = await on.cli('timeline', 'orders');
    expect(timeline.stdout).toContain('was pinned: FLUSHALL took');
    live.disconnect();
    writer.disconnect();
  },
);

test(
  'onLoss: fence: a server that came back empty is fenced, and gets back what it had when it ended',
  patient,
  async () => {
    await followed('stock', stock);
    const before = await connectTo(stock);
    await before.set('the last', 'write');
    await inTheFile(before);
    before.disconnect();
    const digest = await dataDigest(stock);
    await stock.kill9();
    await rm(join(stock.dir, 'appendonlydir'), { recursive: true });
    await stock.restart();
    // Whose files these are shows when it is written to.
    const live = await connectTo(stock);
    await live.set('came:since', 'stays');
    const recovering = on.client.workflow.getHandle('accidental-flush/stock');
    const waiting = await untilAsked(recovering, 'waiting-for-approval', 250_000);
    await expect(live.set('late', 'write')).rejects.toThrow(/NOPERM/);
    expect((await statusOf('stock')).losses).toMatchObject([{ kind: expect.stringMatching(/^came-back-/) }]);
    await approve(recovering, waiting, 'keep-live');
    expect(await recovering.result()).toMatchObject({ recovered: true });
    expect(await live.get('came:since')).toBe('stays');
    await live.del('came:since');
    expect(await dataDigest(stock)).toBe(digest);
    expect((await statusOf('stock')).losses).toBeUndefined();
    live.disconnect();
  },
);

test(
  'onLoss: alert: the run, status and check say what was lost and what is typed next; nothing is fenced',
  patient,
  async () => {
    await followed('payments', payments);
    const live = await connectTo(payments);
    await live.flushall();
    await live.set('goes', 'on');
    live.disconnect();
    const losses = await until('status says it', async () => (await statusOf('payments')).losses);
    expect(losses).toMatchObject([
      { kind: 'flush', what: expect.stringContaining('FLUSHALL took'), lastGood: { timeline: 1 } },
    ]);
    const shown = await on.cli('status', 'payments');
    expect(shown.code).toBe(3);
    expect(shown.stdout).toContain('LOSS NOTICED');
    expect(shown.stdout).toContain('next: rewind runbook accidental-flush payments');
    const checked = JSON.parse((await on.cli('check', 'payments', '--json')).stdout);
    expect(checked.instances.payments.findings).toContainEqual(expect.objectContaining({ code: 'LOSS_NOTICED' }));
    const run = on.client.workflow.getHandle('ship-aof/payments');
    expect(await run.query<Progress>('progress')).toMatchObject({ phase: 'loss-noticed' });
    expect(await counted('payments')).toBe(0);
    expect(await on.log('host')).toContain('loss noticed: FLUSHALL took');
    // And one that was closed, by its runbook, is not shown for ever.
    const recovered = on.client.workflow.getHandle('ship-aof/orders');
    await until(
      'the loss of orders is over',
      async () => (await recovered.query<Progress>('progress')).phase === 'archiving',
      150_000,
    );
  },
);
