import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { redisTimeMs } from '../../redis/info.ts';
import { archiveContext, chainedBytes, digestAt, type Following, readArchive, until } from '../support/archive.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { type MovingAddress, movingAddress } from '../support/moving-address.ts';
import { type Node, ReplicaSet } from '../support/replication.ts';
import { stream } from '../support/stream.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

let folder: TemporaryFolder;
let set: ReplicaSet;
let address: MovingAddress;
let primary: Node;
let replica: Node;
let context: InstanceContext;
let following: Following;

beforeEach(async () => {
  folder = await temporaryFolder('stream-failover');
  set = new ReplicaSet();
  primary = await set.start({ config: debugAllowed() });
  replica = await set.replica(primary, { config: debugAllowed() });
  address = await movingAddress(primary.server.port);
  context = await archiveContext(address, { home: join(folder.path, 'home'), repository: join(folder.path, 'store') });
  following = stream(context, { rivalMs: 500 });
  await until('the base', async () => (await archive()).bases.length > 0);
  await olderThan(replica.redis);
});
afterEach(async () => {
  await following.stop().catch(() => undefined);
  await address.stop();
  await set.stop();
  await folder.remove();
});

/** Redis tells when it was started to the second: what was written in that second does not tell which came first. */
async function olderThan(redis: Redis): Promise<void> {
  await until(
    'a server started in an earlier second',
    async () => Number(/uptime_in_seconds:(\d+)/.exec(await redis.info('server'))?.[1]) >= 2,
  );
}

const archive = () => readArchive(context.repository);
const shipped = (text: string) =>
  until(`${text} is shipped`, async () =>
    (await archive()).segments.some(({ body }) => Buffer.from(body).includes(text)),
  );
const received = (text: string) =>
  until(`the replica has ${text}`, async () => (await replica.redis.exists(text)) === 1);

test('the primary is killed -9 and its replica answers under its address: a promotion, and times before and after it come back', async () => {
  await primary.redis.set('before', '1');
  await Promise.all([shipped('before'), received('before')]);
  const before = await dataDigest(primary.server);
  const between = await redisTimeMs(primary.redis);
  await sleep(50);
  await primary.server.kill9();
  await replica.redis.replicaof('NO', 'ONE');
  address.to(replica.server.port);
  await replica.redis.set('after', '1');
  await shipped('after');
  const held = await archive();
  expect(held.timelines).toMatchObject([{ timeline: 1 }, { timeline: 2, why: 'promotion', parent: { timeline: 1 } }]);
  expect(held.events).toEqual([]);
  expect(held.bases).toHaveLength(1);
  chainedBytes(held, 1);
  expect(await digestAt(context, { kind: 'time', timeMs: between })).toBe(before);
  expect(await digestAt(context, { kind: 'latest' }, { timeline: 1 })).toBe(before);
  expect(await digestAt(context, { kind: 'latest' })).toBe(await dataDigest(replica.server));
});

test('the old primary lives on behind the address of the new one: whose stream it is the link itself tells, and what only the old one had is a past of its own', async () => {
  await primary.redis.set('before', '1');
  await Promise.all([shipped('before'), received('before')]);
  const common = await dataDigest(primary.server);
  await replica.redis.replicaof('NO', 'ONE');
  await primary.redis.set('only there', '1');
  await shipped('only there');
  const lost = await dataDigest(primary.server);
  address.to(replica.server.port);
  // The link breaks; the connection that asks questions does not, and goes on to be answered by the old one.
  await primary.redis.call('CLIENT', 'KILL', 'TYPE', 'replica');
  await until('the second timeline', async () => (await archive()).timelines.length === 2);
  await replica.redis.set('after', '1');
  await shipped('after');
  const { timelines, events } = await archive();
  expect(timelines[1]).toMatchObject({ why: 'promotion', parent: { timeline: 1 } });
  expect(events).toEqual([]);
  expect(await digestAt(context, { kind: 'position', position: timelines[1]!.parent!.position }, { timeline: 1 })).toBe(
    common,
  );
  expect(await digestAt(context, { kind: 'latest' }, { timeline: 1 })).toBe(lost);
  expect(await digestAt(context, { kind: 'latest' })).toBe(await dataDigest(replica.server));
});

test('the address moves while the link to the old primary stays up: within seconds it is the new one that is archived', async () => {
  await primary.redis.set('before', '1');
  await Promise.all([shipped('before'), received('before')]);
  await replica.redis.replicaof('NO', 'ONE');
  address.to(replica.server.port);
  await replica.redis.set('after', '1');
  await shipped('after');
  expect((await archive()).timelines[1]).toMatchObject({ why: 'promotion', parent: { timeline: 1 } });
  expect(await digestAt(context, { kind: 'latest' })).toBe(await dataDigest(replica.server));
});
