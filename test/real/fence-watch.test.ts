import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { findOpenFences } from '../../fence/fence-record.ts';
import { fenceState } from '../../fence/fence-state.ts';
import { fenceWrites } from '../../fence/fence-writes.ts';
import { ownLogin } from '../../fence/own-user.ts';
import { unfenceWrites } from '../../fence/unfence-writes.ts';
import { watchFence } from '../../fence/watch-fence.ts';
import { type FencedServer, fencedServer } from '../support/fenced-server.ts';
import { type Flavour, missingFlavour, type RedisOptions } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const undo: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(flavour: Flavour, options: RedisOptions = {}): Promise<FencedServer> {
  const server = await fencedServer(flavour, options);
  undo.push(() => server.end());
  return server;
}

/** Watches until the test ends, or `stop`. */
function watch(server: FencedServer) {
  const ending = new AbortController();
  const notes: string[] = [];
  const onProgress = ({ note }: { note?: string }) => void notes.push(note ?? '');
  const report = watchFence(server.target, { ...server.order, everyMs: 200 }, { signal: ending.signal, onProgress });
  const stop = () => {
    ending.abort();
    return report;
  };
  undo.push(stop);
  return { notes, report, stop };
}

/** Until nobody but the own user may write. */
async function untilInForce(server: FencedServer): Promise<void> {
  const states = async () => (await fenceState(server.target, server.repository, 'orders')).fences[0]?.inForce;
  await expect.poll(states, { timeout: 60_000, interval: 50 }).toBe('yes');
}

const poll = { timeout: 60_000, interval: 50 };

describe.each<Flavour>(['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'])('%s', (flavour) => {
  const here = test.skipIf(missingFlavour(flavour));

  here(
    'a user that is made, and one that is given rights back, are fenced, said and recorded; the watch ends with the fence',
    async () => {
      const server = await start(flavour);
      const { admin, order, target, io } = server;
      await admin.call('ACL', 'SETUSER', 'app', 'on', 'nopass', '~*', '+@all');
      const before = await server.aclList();
      await fenceWrites(target, order, io);
      const { notes, report } = watch(server);

      await admin.call('ACL', 'SETUSER', 'made', 'on', 'nopass', '~*', '-@all', '+@write', '+@read', '+@connection');
      const ofMade = (line: string) => line.startsWith('user made ');
      const late = await server.login('made');
      await expect.poll(() => late.set('a', '1').catch((error) => error.message), poll).toMatch(/NOPERM/);
      await admin.call('ACL', 'SETUSER', 'app', '+@write');
      const app = await server.login('app');
      await expect.poll(() => app.set('a', '1').catch((error) => error.message), poll).toMatch(/NOPERM/);
      await expect.poll(() => notes.join(' '), poll).toMatch(/made.*app/);
      const [fence] = await findOpenFences(server.repository, 'orders');
      expect(fence?.added.map(({ name, why }) => [name, why])).toEqual([
        ['made', 'new'],
        ['app', 'changed'],
      ]);

      await unfenceWrites(target, order, io);
      expect(await report).toMatchObject({ endedBy: 'undone', restarts: 0 });
      const after = await server.aclList();
      expect(after.filter((line) => !ofMade(line))).toEqual(before);
      // Written down as somebody had made it, before anything was taken from it.
      expect(after.find(ofMade)).toBe(fence?.added[0]?.rule);
      expect(await late.set('a', '1')).toBe('OK');
    },
  );

  here(
    'a restart brings users from redis.conf back: they are fenced again, and undone they are as redis.conf says',
    async () => {
      const server = await start(flavour, {
        config: { user: ['default on nopass ~* &* +@all', 'app on >secret ~* +@all'] },
      });
      const { order, target, io } = server;
      const before = await server.aclList();
      await fenceWrites(target, order, io);
      const { notes, report } = watch(server);
      await server.redis.kill9();
      await expect.poll(() => notes.join(' '), poll).toMatch(/cannot be watched/);
      await server.redis.restart();
      await expect.poll(() => notes.join(' '), poll).toMatch(/restarted/);
      await untilInForce(server);
      const own = await server.connect(await ownLogin(target, order));
      expect(await own.set('a', '1'), 'the own user is there again, with the same password').toBe('OK');

      expect(await unfenceWrites(target, order, io)).toMatchObject({ restarted: false, changed: [], gone: [] });
      expect(await report).toMatchObject({ restarts: 1, endedBy: 'undone' });
      expect(await server.aclList()).toEqual(before);
    },
  );

  here('without a watch, a restart has undone the fence: unfence says so and changes nothing', async () => {
    const server = await start(flavour);
    const { order, target, io } = server;
    const before = await server.aclList();
    await fenceWrites(target, order, io);
    await server.redis.kill9();
    await server.redis.restart();
    expect(await fenceState(target, server.repository, 'orders')).toMatchObject({ fences: [{ inForce: 'no' }] });
    const undone = await unfenceWrites(target, order, io);
    expect(undone).toMatchObject({ restarted: true, restored: [], asBefore: ['default'] });
    expect(undone?.notes.join()).toMatch(/restarted/);
    expect(await server.aclList()).toEqual(before);
  });

  here(
    'ACL SAVE during the fence and a restart: the fence stands, and undone it is gone from the aclfile too',
    async () => {
      const server = await start(flavour, { config: { aclfile: 'users.acl' }, dir: await aclFolder() });
      const { admin, order, target, io } = server;
      const before = await server.aclList();
      await fenceWrites(target, order, io);
      await admin.call('ACL', 'SAVE');
      await server.redis.kill9();
      await server.redis.restart();
      const { notes } = watch(server);
      await expect.poll(() => notes.join(' '), poll).toMatch(/the fence stands/);
      await untilInForce(server);

      const undone = await unfenceWrites(target, order, io);
      expect(undone?.notes.join()).toMatch(/ACL SAVE wrote the users from before/);
      expect(await server.aclList()).toEqual(before);
      expect(await readFile(join(server.redis.dir, 'users.acl'), 'latin1')).not.toContain('rewind-');
      await server.redis.restart();
      expect(await server.aclList()).toEqual(before);
    },
  );

  here(
    'an aclfile that nobody saved during the fence is not saved by it; ACL LOAD in mid-fence is fenced again',
    async () => {
      const server = await start(flavour, { config: { aclfile: 'users.acl' }, dir: await aclFolder() });
      const { admin, order, target, io } = server;
      const file = join(server.redis.dir, 'users.acl');
      const before = await server.aclList();
      const saved = await readFile(file, 'latin1');
      await fenceWrites(target, order, io);
      const { notes } = watch(server);
      await admin.call('ACL', 'LOAD');
      await expect.poll(() => notes.join(' '), poll).toMatch(/Fenced later: .*app/);
      await untilInForce(server);
      expect(await unfenceWrites(target, order, io)).toMatchObject({ notes: [], changed: [] });
      expect(await server.aclList()).toEqual(before);
      expect(await readFile(file, 'latin1')).toBe(saved);
    },
  );
});

async function aclFolder(): Promise<string> {
  const folder = await temporaryFolder('acl');
  undo.unshift(() => folder.remove());
  await writeFile(join(folder.path, 'users.acl'), 'user default on nopass ~* &* +@all\nuser app on >secret ~* +@all\n');
  return folder.path;
}
