import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { fenceState } from '../../fence/fence-state.ts';
import { fenceWrites } from '../../fence/fence-writes.ts';
import { ownLogin } from '../../fence/own-user.ts';
import { unfenceWrites } from '../../fence/unfence-writes.ts';
import type { StepProgress } from '../../process/step-io.ts';
import type { WritersReport } from '../support/fence-writers.ts';
import { type FencedServer, fencedServer } from '../support/fenced-server.ts';
import { type Flavour, missingFlavour } from '../support/servers.ts';

/** Within a script each version has words of its own. */
const REFUSED = /NOPERM|permissions|can't run this command/;

const writers = fileURLToPath(new URL('../support/fence-writers.ts', import.meta.url));
const servers: FencedServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.end();
});

async function start(flavour: Flavour, options: Parameters<typeof fencedServer>[1] = {}): Promise<FencedServer> {
  const server = await fencedServer(flavour, options);
  servers.push(server);
  return server;
}

/** Commands that the server has refused for lack of rights, or in any other way, since Redis 6.2. */
async function refusals(redis: Redis): Promise<number> {
  return Number(/total_error_replies:(\d+)/.exec(await redis.info('stats'))?.[1]);
}

describe.each<Flavour>(['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'])('%s', (flavour) => {
  const here = test.skipIf(missingFlavour(flavour));
  const since7 = test.skipIf(missingFlavour(flavour) || flavour === 'redis-6.2');

  here(
    'no writer gets through: SET, INCR, Lua, a queued MULTI, a BLPOP; reading goes on and the own user writes',
    async () => {
      const server = await start(flavour);
      const { admin, order, target, io } = server;
      await admin.call('ACL', 'SETUSER', 'app', 'on', 'nopass', '~*', '&*', '+@all');
      await admin.call(
        'ACL',
        'SETUSER',
        'limited',
        'on',
        'nopass',
        '~n:*',
        '&*',
        '-@all',
        '+@read',
        '+@connection',
        '+incr',
        '+blpop',
      );
      await admin.call(
        'ACL',
        'SETUSER',
        'reader',
        'on',
        'nopass',
        '~*',
        '&*',
        '-@all',
        '+@read',
        '+@pubsub',
        '+@connection',
      );
      await admin.set('n:plain', 'before');
      const before = await server.aclList();
      const nobody = await server.login();
      const app = await server.login('app');
      const limited = await server.login('limited');
      const listener = await server.login('reader');
      const heard: string[] = [];
      listener.on('message', (_channel, message: string) => heard.push(message));
      await listener.subscribe('news');
      const sha = (await app.script('LOAD', "return redis.call('SET', KEYS[1], ARGV[1])")) as string;

      const queued = await server.login('app');
      await queued.call('MULTI');
      await queued.call('SET', 'queued', '1');
      const waiting = await Promise.all([server.login('app'), server.login('limited')]);
      const popped = waiting.map((redis) => redis.call('BLPOP', 'n:jobs', '0').catch(() => 'ended'));
      const reading = await server.login('app');
      const read = reading.call('XREAD', 'BLOCK', '0', 'STREAMS', 'n:events', '$').catch(() => 'ended');
      await server.untilBlocked(3);

      const report = await fenceWrites(target, order, io);
      expect(report.users.map(({ name }) => name).sort()).toEqual(['app', 'default', 'limited']);
      expect(report.blockedClientsKilled).toBe(3);
      expect(report.provenBy).toBe(flavour === 'redis-6.2' ? 'rules' : 'dry-run');

      const own = await server.connect(await ownLogin(target, order));
      const digest = await own.call('DEBUG', 'DIGEST');
      for (const attempt of [
        () => nobody.set('a', '1'),
        () => app.set('a', '1'),
        () => app.incr('n'),
        () => app.eval("return redis.call('SET', KEYS[1], '1')", 1, 'a'),
        () => app.evalsha(sha, 1, 'a', '1'),
        () => app.flushall(),
        () => app.call('SWAPDB', '0', '1'),
        () => app.call('SORT', 'n:jobs', 'STORE', 'b'),
        () => app.call('DEBUG', 'FLUSHALL'),
        () => app.call('DEBUG', 'DIGEST'),
        () => limited.incr('n:count'),
      ]) {
        await expect(attempt()).rejects.toThrow(REFUSED);
      }
      await expect(queued.call('EXEC')).rejects.toThrow();
      expect(await own.exists('queued', 'a', 'n')).toBe(0);
      expect(await own.call('DEBUG', 'DIGEST')).toBe(digest);
      expect(await app.get('n:plain')).toBe('before');

      await own.rpush('n:jobs', 'one', 'two');
      await own.call('XADD', 'n:events', '*', 'f', 'v');
      expect(await Promise.all(popped)).toEqual(['ended', 'ended']);
      expect(await own.llen('n:jobs')).toBe(2);
      expect(await read, 'who only waits to read is not disturbed').not.toBe('ended');
      await own.publish('news', 'still heard');
      await expect.poll(() => heard).toEqual(['still heard']);

      const undone = await unfenceWrites(target, order, io);
      expect(undone).toMatchObject({ gone: [], changed: [], restarted: false, notes: [] });
      expect(await server.aclList()).toEqual(before);
      expect(await app.set('a', '1')).toBe('OK');
      await expect.poll(() => own.status).toBe('end');
      expect(await fenceState(target, server.repository, order.instance)).toEqual({ fences: [], strays: [] });
      expect(await server.filesOfHome()).toEqual([]);
      expect(await unfenceWrites(target, order, io), 'twice is fine').toBeUndefined();
    },
  );

  since7(
    'a selector that may write is fenced, a function cannot write, and both are as before afterwards',
    async () => {
      const server = await start(flavour);
      const { admin, order, target, io } = server;
      const rules = ['~r:*', '%R~s:*', 'resetchannels', '&c*', '+@read', '+fcall', '+function|load'];
      const selectors = ['(~k* +set +select|0)', '(%W~w) +@write -del)', '(%R~only:* +get)', '(allkeys +@all)'];
      await admin.call('ACL', 'SETUSER', 'picky', 'on', '>secret', '>other', ...rules, ...selectors);
      await admin.call(
        'FUNCTION',
        'LOAD',
        "#!lua name=lib\nredis.register_function('put', function(keys) return redis.call('SET', keys[1], '1') end)",
      );
      const before = await server.aclList();
      const picky = await server.login('picky', 'secret');
      expect(await picky.set('k1', '1')).toBe('OK');
      expect(await picky.call('FCALL', 'put', '1', 'k2')).toBe('OK');

      const report = await fenceWrites(target, order, io);
      expect(report.users.find(({ name }) => name === 'picky')).toEqual({
        name: 'picky',
        selectors: 3,
        hadWrite: true,
      });
      await expect(picky.set('k1', '2')).rejects.toThrow(/NOPERM/);
      await expect(picky.set('w)', '2')).rejects.toThrow(/NOPERM/);
      await expect(picky.call('FCALL', 'put', '1', 'k3')).rejects.toThrow(REFUSED);
      await expect(picky.call('FUNCTION', 'FLUSH')).rejects.toThrow(/NOPERM/);
      expect(await picky.get('only:1'), 'what a selector may read it still may').toBeNull();
      expect(await picky.get('k1')).toBe('1');

      await unfenceWrites(target, order, io);
      expect(await server.aclList()).toEqual(before);
      expect(await picky.set('k1', '2')).toBe('OK');
    },
  );

  here('50 users on 200 connections that write without end: not one write after the fence, and none lost', async () => {
    const server = await start(flavour);
    const { admin, order, target, io } = server;
    for (let at = 0; at < 50; at += 1) {
      const rules = ['on', 'nopass', '~*', '+@all', ...(at % 2 ? ['-debug', '-flushall'] : [])];
      await admin.call('ACL', 'SETUSER', `app${at}`, ...rules);
    }
    const before = await server.aclList();
    const application = fork(writers, [String(server.port), '50', '200']);
    try {
      await once(application, 'message');
      await expect.poll(() => admin.get('count'), { timeout: 60_000 }).toMatch(/\d{4}/);

      const report = await fenceWrites(target, order, io);
      const own = await server.connect(await ownLogin(target, order));
      const count = await own.get('count');
      // More than the writers' own by some, because what the fence tries on itself is counted with them.
      await expect.poll(() => refusals(own), { timeout: 60_000 }).toBeGreaterThan(600);
      expect(await own.get('count'), 'nothing was counted after the fence').toBe(count);
      application.send('stop');
      const [said] = (await once(application, 'message')) as [WritersReport];
      expect(String(said.acknowledged), 'every acknowledged write is there, and no other').toBe(count);
      expect(said.refused).toBeGreaterThan(200);
      expect(report.users).toHaveLength(51);
      expect(report.inForceAfterMs).toBeLessThanOrEqual(report.tookMs);
    } finally {
      application.kill('SIGKILL');
    }
    await unfenceWrites(target, order, io);
    expect(await server.aclList()).toEqual(before);
  });

  here('a name and a pattern that are no text survive the fence', async () => {
    const server = await start(flavour);
    const { admin, order, target, io } = server;
    const name = Buffer.from([0x75, 0xff, 0xc3]);
    await admin.call('ACL', 'SETUSER', name, 'on', 'nopass', Buffer.from([0x7e, 0xfe, 0x2a]), '+@all');
    await admin.call('ACL', 'SETUSER', '(bücher)', 'on', 'nopass', '~ü(*)', '+@all');
    const before = await server.aclList();
    expect((await fenceWrites(target, order, io)).users).toHaveLength(3);
    await unfenceWrites(target, order, io);
    expect(await server.aclList()).toEqual(before);
  });

  here(
    'what others changed during the fence stays: a new password, a user made or deleted; rights are those from before',
    async () => {
      const server = await start(flavour);
      const { admin, order, target, io } = server;
      for (const name of ['rotated', 'deleted', 'raised', 'same']) {
        await admin.call('ACL', 'SETUSER', name, 'on', '>old', '~*', '+@all', '-flushall');
      }
      const before = await server.aclList();
      await fenceWrites(target, order, io);
      const own = await server.connect(await ownLogin(target, order));
      await own.call('ACL', 'SETUSER', 'rotated', '<old', '>new');
      await own.call('ACL', 'DELUSER', 'deleted');
      await own.call('ACL', 'SETUSER', 'raised', '+@all');
      await own.call('ACL', 'SETUSER', 'made', 'on', 'nopass', '~*', '-@all', '+set');
      const made = (await server.aclList()).find((line) => line.startsWith('user made '));
      // As the watch does: by a second call, who may write by now is fenced too.
      expect((await fenceWrites(target, order, io)).users.map(({ name }) => name).sort()).toEqual(['made', 'raised']);

      const undone = await unfenceWrites(target, order, io);
      expect(undone).toMatchObject({ gone: ['deleted'], changed: ['rotated'] });
      const after = await server.aclList();
      expect(after.filter((line) => !/^user (rotated|made) /.test(line))).toEqual(
        before.filter((line) => !/^user (rotated|deleted) /.test(line)),
      );
      expect(after).toContain(made);
      const rotated = await server.login('rotated', 'new');
      expect(await rotated.set('a', '1')).toBe('OK');
      await expect(rotated.flushall()).rejects.toThrow(/NOPERM/);
    },
  );

  here('a login that may not change users is refused before anything is changed, and the right is named', async () => {
    const server = await start(flavour);
    const { admin, order, io } = server;
    await admin.call('ACL', 'SETUSER', 'agent', 'on', '>p', '~*', '+@all', '-acl');
    if (flavour !== 'redis-6.2') await admin.call('ACL', 'SETUSER', 'agent', '+acl|list', '+acl|whoami');
    const before = await server.aclList();
    const target = { url: `redis://agent@127.0.0.1:${server.port}`, password: 'p' };
    const missing = flavour === 'redis-6.2' ? /ACL/ : /ACL SETUSER/;
    await expect(fenceWrites(target, order, io)).rejects.toMatchObject({
      code: 'FENCE_NOT_POSSIBLE',
      message: expect.stringMatching(missing),
    });
    expect(await server.aclList()).toEqual(before);
    expect(await fenceState(server.target, server.repository, order.instance)).toEqual({ fences: [], strays: [] });
  });

  here('a login with the least rights fences and unfences', async () => {
    const server = await start(flavour);
    const { admin, order, io } = server;
    const acl = ['acl|list', 'acl|setuser'].map((right) => `+${right}`);
    await admin.call(
      'ACL',
      'SETUSER',
      'agent',
      'on',
      '>p',
      '-@all',
      '+ping',
      '+info',
      '+time',
      '+client|setname',
      ...acl,
    );
    await admin.call('ACL', 'SETUSER', 'agent', 'resetkeys');
    const before = await server.aclList();
    const target = { url: `redis://agent@127.0.0.1:${server.port}`, password: 'p' };
    expect((await fenceWrites(target, order, io)).users.map(({ name }) => name)).toEqual(['default']);
    expect(await unfenceWrites(target, order, io)).toMatchObject({ restored: ['default'] });
    expect(await server.aclList()).toEqual(before);
  });

  here('a server on which ACL was renamed away is refused with the alternatives', async () => {
    const server = await start(flavour, { config: { 'rename-command': 'ACL ""' } });
    await expect(fenceWrites(server.target, server.order, server.io)).rejects.toMatchObject({
      code: 'FENCE_NOT_POSSIBLE',
      next: expect.stringContaining('firewall'),
    });
  });

  here('commands that were renamed stay fenced under their new name', async () => {
    const server = await start(flavour, { config: { 'rename-command': ['FLUSHALL wipe', 'DEBUG ""'] } });
    const { order, target, io, admin } = server;
    await admin.set('a', '1');
    await fenceWrites(target, order, io);
    await expect(admin.call('wipe')).rejects.toThrow(/NOPERM/);
    await unfenceWrites(target, order, io);
    expect(await admin.call('wipe')).toBe('OK');
  });

  here('a second incident does not take the fenced rules for those from before', async () => {
    const server = await start(flavour);
    const { order, target, io } = server;
    const before = await server.aclList();
    await fenceWrites(target, order, io);
    await expect(fenceWrites(target, { ...order, fenceId: 'another' }, io)).rejects.toMatchObject({
      code: 'FENCE_ALREADY_OPEN',
      message: expect.stringContaining(order.fenceId),
    });
    await unfenceWrites(target, { ...order, fenceId: undefined }, io);
    expect(await server.aclList()).toEqual(before);
    await expect(fenceWrites(target, order, io)).rejects.toMatchObject({ code: 'FENCE_ENDED' });
    expect(await server.aclList()).toEqual(before);
  });

  here('the fence is undone from a machine that has nothing of it, with the default user as login', async () => {
    const server = await start(flavour);
    const { order, target, io, folder } = server;
    const before = await server.aclList();
    await fenceWrites(target, order, io);
    const home = join(folder, 'another-machine');
    await mkdir(home);
    expect(await fenceState(target, server.repository, order.instance)).toMatchObject({
      fences: [
        { fenceId: order.fenceId, owner: { workflowId: 'accidental-flush/orders' }, inForce: 'yes', writers: [] },
      ],
      strays: [],
    });
    await unfenceWrites(target, { ...order, home }, io);
    expect(await server.aclList()).toEqual(before);
  });

  here('hashes of passwords are in the record alone: not in progress, reports or errors', async () => {
    const server = await start(flavour);
    const { order, target, admin } = server;
    await admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all');
    const said: StepProgress[] = [];
    const io = {
      signal: new AbortController().signal,
      onProgress: (progress: StepProgress) => void said.push(progress),
    };
    const reports = [await fenceWrites(target, order, io), await unfenceWrites(target, order, io)];
    expect(JSON.stringify([said, reports])).not.toMatch(/[0-9a-f]{64}/);
  });
});
