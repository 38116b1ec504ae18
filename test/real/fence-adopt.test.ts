import { afterEach, expect, test } from 'vitest';
import { adoptFence } from '../../fence/adopt-fence.ts';
import { beginEnding, findOpenFences } from '../../fence/fence-record.ts';
import { fenceState } from '../../fence/fence-state.ts';
import { fenceWrites } from '../../fence/fence-writes.ts';
import { unfenceWrites } from '../../fence/unfence-writes.ts';
import { type FencedServer, fencedServer } from '../support/fenced-server.ts';

let server: FencedServer;
const [first, second] = [
  { workflowId: 'accidental-flush/orders', runId: 'first' },
  { workflowId: 'accidental-flush/orders', runId: 'second' },
];

afterEach(() => server.end());

/** A fence of the first owner around users with selectors. */
async function fenced(): Promise<{ before: string[] }> {
  server = await fencedServer('redis-7.0');
  const { admin, target, order, io } = server;
  await admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-flushall', '(~cart:* +set)');
  const before = await server.aclList();
  await fenceWrites(target, { ...order, owner: first }, io);
  return { before };
}

test('a fence whose owner has ended goes on as another one’s, and is undone to the rights from before the first', async () => {
  const { before } = await fenced();
  const { target, order, io, repository, admin } = server;
  const asked: unknown[] = [];
  const adopted = await adoptFence(repository, 'orders', second, async (owner) => asked.push(owner) > 0);
  expect(asked).toEqual([first]);
  expect(adopted).toMatchObject({ fenceId: order.fenceId, from: first, ending: false });
  expect((await fenceState(target, repository, 'orders')).fences).toMatchObject([{ owner: second, inForce: 'yes' }]);
  // The rules as they are now are not those from before.
  await admin.call('ACL', 'SETUSER', 'app', '+set');
  await fenceWrites(target, { ...order, fenceId: adopted.fenceId, owner: second }, io);
  expect((await fenceState(target, repository, 'orders')).fences).toMatchObject([{ inForce: 'yes' }]);
  expect(await unfenceWrites(target, { ...order, fenceId: adopted.fenceId }, io)).toMatchObject({
    fenceId: order.fenceId,
  });
  expect(await server.aclList()).toEqual(before);
  expect(await findOpenFences(repository, 'orders')).toEqual([]);
});

test('an adoption that was cut off before its answer is answered again, and nobody is asked twice', async () => {
  await fenced();
  const { repository } = server;
  await adoptFence(repository, 'orders', second, async () => true);
  const again = await adoptFence(repository, 'orders', second, () => Promise.reject(new Error('asked twice')));
  expect(again).toMatchObject({ fenceId: server.order.fenceId });
});

test('where it is not certain that the owner has ended the fence stays its own', async () => {
  await fenced();
  const { repository } = server;
  await expect(adoptFence(repository, 'orders', second, async () => false)).rejects.toMatchObject({
    code: 'FENCE_ALREADY_OPEN',
  });
  expect((await findOpenFences(repository, 'orders'))[0]?.record.owner).toEqual(first);
});

test('one whose undoing had begun says so: it is undone to its end, and no longer fenced under its id', async () => {
  const { before } = await fenced();
  const { target, order, io, repository } = server;
  const [open] = await findOpenFences(repository, 'orders');
  await beginEnding(repository, open!.record, new Date().toISOString());
  expect(await adoptFence(repository, 'orders', second, async () => true)).toMatchObject({ ending: true });
  await unfenceWrites(target, order, io);
  expect(await server.aclList()).toEqual(before);
  // Then a fence of the second's own.
  await fenceWrites(target, { ...order, fenceId: 'of-the-second', owner: second }, io);
  await unfenceWrites(target, { ...order, fenceId: 'of-the-second' }, io);
  expect(await server.aclList()).toEqual(before);
});
