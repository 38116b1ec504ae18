import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { fenceState } from '../../fence/fence-state.ts';
import { fenceWrites } from '../../fence/fence-writes.ts';
import { ownLogin } from '../../fence/own-user.ts';
import { unfenceWrites } from '../../fence/unfence-writes.ts';
import { type FencedServer, fencedServer } from '../support/fenced-server.ts';
import { type Flavour, missingFlavour } from '../support/servers.ts';

const child = fileURLToPath(new URL('../support/fence-child.ts', import.meta.url));
let server: FencedServer | undefined;

afterEach(async () => {
  await server?.end();
  server = undefined;
});

/** Runs a step in a process of its own that is killed -9 after `phase`. */
async function killedAfter(on: FencedServer, action: 'fence' | 'unfence', fenceId: string, phase: string) {
  const { target, repositoryUrl, order } = on;
  const args = [child, action, target.url, repositoryUrl, order.instance, fenceId, order.home, phase];
  const program = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  expect(await once(program, 'exit')).toEqual([null, 'SIGKILL']);
}

async function serverWithUsers(flavour: Flavour): Promise<FencedServer> {
  server = await fencedServer(flavour);
  await server.admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', '-flushall');
  const selector = flavour === 'redis-6.2' ? [] : ['(~k* +set)'];
  await server.admin.call('ACL', 'SETUSER', 'picky', 'on', 'nopass', '~r:*', '-@all', '+@read', ...selector);
  return server;
}

const fencing = ['recorded', 'own-user', 'rights-taken', 'in-force', 'proven'];
const undoing = ['ending', 'given-back', 'own-user-removed', 'saved', 'closed'];

// The steps are the same everywhere; the rules differ most between these.
describe.each<Flavour>(['redis-6.2', 'redis-8.2'])('%s', (flavour) => {
  const here = test.skipIf(missingFlavour(flavour));

  here.each(fencing)('killed -9 after %s of the fence: undone, or fenced again, it ends right', async (phase) => {
    const on = await serverWithUsers(flavour);
    const { order, target, io } = on;
    const before = await on.aclList();
    const left = async () => ({
      state: await fenceState(target, on.repository, order.instance),
      files: await on.filesOfHome(),
    });
    const nothing = { state: { fences: [], strays: [] }, files: [] };

    await killedAfter(on, 'fence', 'first', phase);
    await unfenceWrites(target, { ...order, fenceId: undefined }, io);
    expect(await on.aclList()).toEqual(before);
    expect(await left()).toEqual(nothing);

    const consumer = await on.login('app', 'secret');
    const popped = consumer.call('BLPOP', 'jobs', '0').catch(() => 'ended');
    await on.untilBlocked(1);
    await killedAfter(on, 'fence', order.fenceId, phase);
    await fenceWrites(target, order, io);
    expect(await popped, 'who waited to pop is cut off by whichever attempt came so far').toBe('ended');
    const app = await on.login('app', 'secret');
    await expect(app.set('a', '1')).rejects.toThrow(/NOPERM/);
    const own = await on.connect(await ownLogin(target, order));
    expect(await own.set('a', '1')).toBe('OK');
    await unfenceWrites(target, order, io);
    expect(await on.aclList()).toEqual(before);
    expect(await left()).toEqual(nothing);
  });

  here.each(undoing)('killed -9 after %s of the undoing: done again, everything is as before', async (phase) => {
    const on = await serverWithUsers(flavour);
    const { order, target, io } = on;
    const before = await on.aclList();
    await fenceWrites(target, order, io);
    await killedAfter(on, 'unfence', order.fenceId, phase);
    if (phase !== 'closed') {
      expect(await fenceState(target, on.repository, order.instance)).toMatchObject({ fences: [{ ending: true }] });
      await expect(fenceWrites(target, order, io), 'what is being undone is not fenced').rejects.toMatchObject({
        code: 'FENCE_ENDED',
      });
    }
    await unfenceWrites(target, order, io);
    expect(await on.aclList()).toEqual(before);
    expect(await fenceState(target, on.repository, order.instance)).toEqual({ fences: [], strays: [] });
    expect(await on.filesOfHome()).toEqual([]);
  });
});
