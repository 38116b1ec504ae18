import { afterEach, expect, test } from 'vitest';
import { fenceState } from '../../fence/fence-state.ts';
import { fenceWrites } from '../../fence/fence-writes.ts';
import { ownLogin } from '../../fence/own-user.ts';
import { unfenceWrites } from '../../fence/unfence-writes.ts';
import { watchFence } from '../../fence/watch-fence.ts';
import { type FencedServer, fencedServer } from '../support/fenced-server.ts';
import { type Flavour, missingFlavour, type RedisOptions } from '../support/servers.ts';

const servers: FencedServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.end();
});

async function start(flavour: Flavour, options: RedisOptions = {}): Promise<FencedServer> {
  const server = await fencedServer(flavour, options);
  servers.push(server);
  await server.admin.call('ACL', 'SETUSER', 'app', 'on', 'nopass', '~*', '+@all', '-flushall');
  return server;
}

test('the undoing wins against watches and fences that run at the same time: nobody stays fenced behind it', async () => {
  const server = await start('redis-7.0');
  const { order, target, io, admin } = server;
  const before = await server.aclList();
  for (let round = 1; round <= 5; round += 1) {
    const fenceId = `round-${round}`;
    await fenceWrites(target, { ...order, fenceId }, io);
    const watches = [0, 1].map(() => watchFence(target, { ...order, fenceId, everyMs: 5 }, io));
    const again = Array.from({ length: 5 }, () =>
      fenceWrites(target, { ...order, fenceId }, io).catch((error) => error.code),
    );
    // Who gives rights back makes the watches fence at the very moment of the undoing.
    const giving = Array.from({ length: 20 }, () => admin.call('ACL', 'SETUSER', 'app', '+set'));
    await unfenceWrites(target, { ...order, fenceId }, io);
    for (const watch of watches) expect(await watch).toMatchObject({ endedBy: 'undone' });
    const ended = (await Promise.all(again)).filter((result) => typeof result === 'string');
    expect(ended.filter((code) => !['FENCE_ENDED', 'REDIS_UNREACHABLE', 'REDIS_REFUSED_LOGIN'].includes(code))).toEqual(
      [],
    );
    await Promise.all(giving);
    await admin.call('ACL', 'SETUSER', 'app', 'reset', 'on', 'nopass', '~*', '+@all', '-flushall');
    expect(await fenceState(target, server.repository, 'orders')).toEqual({ fences: [], strays: [] });
    expect((await server.aclList()).filter((line) => !line.startsWith('user app '))).toEqual(
      before.filter((line) => !line.startsWith('user app ')),
    );
  }
});

test('of two fences begun at once at most one stands, and it has the rules from before', async () => {
  const server = await start('redis-7.0');
  const { order, target, io } = server;
  const before = await server.aclList();
  for (let round = 1; round <= 5; round += 1) {
    const both = ['a', 'b'].map((side) => ({ ...order, fenceId: `${side}-${round}` }));
    const results = await Promise.allSettled(both.map((each) => fenceWrites(target, each, io)));
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused.length).toBeGreaterThanOrEqual(1);
    for (const { reason } of refused) expect(reason).toMatchObject({ code: 'FENCE_ALREADY_OPEN' });
    await unfenceWrites(target, { ...order, fenceId: undefined }, io);
    expect(await server.aclList()).toEqual(before);
    expect(await fenceState(target, server.repository, 'orders')).toEqual({ fences: [], strays: [] });
  }
});

test('of the same fence begun twice at once, both end well with one login', async () => {
  const server = await start('redis-7.0');
  const { order, target, io } = server;
  const before = await server.aclList();
  await Promise.all([0, 1, 2].map(() => fenceWrites(target, order, io)));
  await unfenceWrites(target, order, io);
  expect(await server.aclList()).toEqual(before);
  expect(await server.filesOfHome()).toEqual([]);
});

test('over a unix socket the own user has a login, too', async () => {
  const server = await start('redis-7.0', { unixsocket: true });
  const { order, io } = server;
  const target = { url: `unix://${server.redis.socket}` };
  const before = await server.aclList();
  await fenceWrites(target, order, io);
  const own = await server.connect(await ownLogin(target, order));
  expect(await own.call('ACL', 'WHOAMI')).toMatch(/^rewind-/);
  await unfenceWrites(target, order, io);
  expect(await server.aclList()).toEqual(before);
});

test('of a server that does not answer, the fence on record is named all the same', async () => {
  const server = await start('redis-7.0');
  const { order, target, io } = server;
  await fenceWrites(target, order, io);
  await server.redis.kill9();
  expect(await fenceState(target, server.repository, 'orders')).toMatchObject({
    fences: [{ fenceId: order.fenceId, inForce: 'unknown', writers: [] }],
    strays: [],
  });
});

test.skipIf(missingFlavour('redis-8.2'))(
  'commands of modules, which no category holds, are fenced: the vector sets of Redis 8',
  async () => {
    const server = await start('redis-8.2');
    const { order, target, io, admin } = server;
    const before = await server.aclList();
    const add = () => admin.call('VADD', 'vectors', 'VALUES', '2', '1', '2', 'element');
    await add();
    await admin.call('ACL', 'SETUSER', 'plain', 'on', 'nopass', '~*', '+@all');
    await admin.call('ACL', 'SETUSER', 'plain', '-@write');
    const plain = await server.login('plain');
    expect(await plain.call('VREM', 'vectors', 'element'), '-@write alone lets them through').toBe(1);
    await admin.call('ACL', 'DELUSER', 'plain');

    await fenceWrites(target, order, io);
    await expect(add()).rejects.toThrow(/NOPERM/);
    await expect(admin.call('VREM', 'vectors', 'element')).rejects.toThrow(/NOPERM/);
    expect(await admin.call('VCARD', 'vectors')).toBe(0);
    await unfenceWrites(target, order, io);
    expect(await server.aclList()).toEqual(before);
  },
);
