import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { archiveFacts } from '../../cli/status/archive-facts.ts';
import { followable, until } from '../support/archive.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { connectTo } from '../support/dataset.ts';
import { type Deployment, startDeployment } from '../support/deployment.ts';
import { approve, untilAsked } from '../support/flush-incident.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

/** More than a mass removal needs, and more than a tenth of all. */
const CARTS = 12_000;
const USERS = 2_000;

let folder: TemporaryFolder;
let orders: RedisServer;
let stock: RedisServer;
let on: Deployment;

beforeAll(async () => {
  folder = await temporaryFolder('loss-fenced-kinds');
  const config = { ...followable, ...debugAllowed() };
  [orders, stock] = await Promise.all([startRedis({ config }), startRedis({ config })]);
  await Promise.all([orders, stock].map(fill));
  on = await startDeployment({
    temporal: inject('temporal'),
    config: {
      repository: { url: pathToFileURL(join(folder.path, 'store')).href },
      // A busy machine is no dead agent: following begins anew with each that is taken for one.
      timeouts: { heartbeat: '10s', roleSilence: '5m' },
      instances: {
        orders: { url: orders.url, archive: { segmentEvery: '200ms', onLoss: 'fence' } },
        stock: { url: stock.url, archive: { segmentEvery: '200ms', onLoss: 'fence' } },
      },
    },
  });
  await on.cli('apply');
}, 600_000);
afterAll(async () => {
  await on?.stop();
  await Promise.all([orders?.stop(), stock?.stop()]);
  await folder?.remove();
});

async function fill(server: RedisServer): Promise<void> {
  const redis = await connectTo(server);
  const names = [...namesOf('cart', CARTS), ...namesOf('user', USERS)];
  for (let i = 0; i < names.length; i += 1_000) {
    await redis.mset(names.slice(i, i + 1_000).flatMap((name, at) => [name, `value ${i + at}`]));
  }
  redis.disconnect();
}

const namesOf = (kind: string, many: number) => Array.from({ length: many }, (_, i) => `${kind}:${i}`);

/** Until it is followed, and the watch has seen all that it has. */
async function watched(instance: string, server: RedisServer): Promise<void> {
  const redis = await connectTo(server);
  await until(
    `${instance} is watched`,
    async () => {
      // Whose files these are shows when it is written to.
      await redis.set('looked:for', '1');
      await sleep(500);
      const { figures } = await archiveFacts(on.client, instance);
      const state = await readFile(join(on.home('host'), 'host', 'archive', `${instance}-loss.json`), 'utf8').catch(
        () => '{}',
      );
      return figures?.state === 'following' && JSON.parse(state).sample?.keys?.[0] === CARTS + USERS + 1;
    },
    240_000,
  );
  redis.disconnect();
}

/** Writes until that is refused. */
async function untilFenced(server: RedisServer): Promise<void> {
  const redis = await connectTo(server);
  await until(
    'a write is refused',
    async () => {
      const answer = await redis.set('came:since', 'stays').catch((error: Error) => error);
      return answer instanceof Error && /NOPERM/.test(answer.message);
    },
    240_000,
  );
  redis.disconnect();
}

/** The runbook that the loss began, once writes are refused and it waits at its gate. */
async function untilAtGate(instance: string, server: RedisServer) {
  await untilFenced(server);
  const recovering = on.client.workflow.getHandle(`accidental-flush/${instance}`);
  return { recovering, waiting: await untilAsked(recovering, 'waiting-for-approval', patienceMs) };
}

/** What was written between the loss and the fence is there, and all else as it was. */
async function expectAllBack(live: Redis, server: RedisServer, digest: string): Promise<void> {
  expect(await live.get('came:since')).toBe('stays');
  await live.del('came:since');
  expect(await dataDigest(server)).toBe(digest);
  live.disconnect();
}

const patient = { timeout: 600_000 };
const patienceMs = 250_000;

test(
  'onLoss: fence: a mass DEL by pattern fences, waits at the gate, and only that pattern comes back',
  patient,
  async () => {
    await watched('orders', orders);
    const digest = await dataDigest(orders);
    const live = await connectTo(orders);
    const names = namesOf('cart', CARTS);
    const deletes = live.pipeline();
    for (let i = 0; i < CARTS; i += 500) deletes.del(names.slice(i, i + 500));
    await deletes.exec();
    const { recovering, waiting } = await untilAtGate('orders', orders);
    expect(waiting.gate?.summary).toContain(`${CARTS} keys of database 0, cart:*`);
    await approve(recovering, waiting, 'keep-live');
    expect(await recovering.result()).toMatchObject({ recovered: true, keys: { restored: CARTS } });
    await expectAllBack(live, orders, digest);
  },
);

test(
  'onLoss: fence: SWAPDB with an empty database fences, waits at the gate, and is swapped back',
  patient,
  async () => {
    await watched('stock', stock);
    const digest = await dataDigest(stock);
    const live = await connectTo(stock);
    await live.call('SWAPDB', '0', '1');
    const { recovering, waiting } = await untilAtGate('stock', stock);
    expect(waiting.gate?.default).toBe('swap-back');
    await approve(recovering, waiting, 'swap-back');
    expect(await recovering.result()).toMatchObject({ recovered: true, keys: { restored: 0 } });
    // What was written since moves with its database.
    await live.select(1);
    await expectAllBack(live, stock, digest);
  },
);
