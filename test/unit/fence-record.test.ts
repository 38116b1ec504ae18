import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type AddedUser,
  addFenced,
  addRun,
  assertFenceId,
  beginEnding,
  closeFence,
  type FenceRecord,
  findOpenFences,
  openFence,
  ownUserOf,
} from '../../fence/fence-record.ts';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

let folder: TemporaryFolder;
let repository: Repository;

beforeEach(async () => {
  folder = await temporaryFolder('fence-record');
  repository = await openRepository({ url: pathToFileURL(folder.path).href });
});
afterEach(() => folder.remove());

const record = (change: Partial<FenceRecord> = {}): FenceRecord => ({
  formatVersion: 1,
  instance: 'orders',
  fenceId: 'one',
  owner: {},
  fencedAt: '2026-11-24T19:00:00.000Z',
  runId: 'a'.repeat(40),
  users: [{ name: 'app', rule: 'user app on nopass ~* &* +@all' }],
  ownUser: ownUserOf('orders', 'one'),
  aclFile: false,
  ...change,
});

const added = (name: string, seenAt: string): AddedUser => ({
  formatVersion: 1,
  instance: 'orders',
  fenceId: 'one',
  name,
  rule: `user ${name} on +@all`,
  why: 'new',
  seenAt,
  runId: 'a'.repeat(40),
});

test('a fence is open from its record to its end, with what was added in its order', async () => {
  expect(await findOpenFences(repository, 'orders')).toEqual([]);
  await openFence(repository, record());
  await addFenced(repository, added('second', '2026-11-24T19:00:02.000Z'));
  await addFenced(repository, added('first', '2026-11-24T19:00:01.000Z'));
  await addRun(repository, record(), 'b'.repeat(40), '2026-11-24T19:00:03.000Z');
  const [open] = await findOpenFences(repository, 'orders');
  expect(open?.added.map(({ name }) => name)).toEqual(['first', 'second']);
  expect(open).toMatchObject({ record: record(), runId: 'b'.repeat(40), ending: false });

  await beginEnding(repository, record(), '2026-11-24T19:00:04.000Z');
  await beginEnding(repository, record(), '2026-11-24T19:00:05.000Z');
  expect(await findOpenFences(repository, 'orders')).toMatchObject([{ ending: true }]);
  await closeFence(repository, record(), '2026-11-24T19:00:06.000Z');
  await closeFence(repository, record(), '2026-11-24T19:00:07.000Z');
  expect(await findOpenFences(repository, 'orders')).toEqual([]);
  expect(await findOpenFences(repository, 'order')).toEqual([]);
});

test('a record is never written over', async () => {
  await openFence(repository, record());
  await openFence(repository, record());
  await expect(openFence(repository, record({ users: [] }))).rejects.toMatchObject({ code: 'OBJECT_EXISTS' });
});

test.each<[string, unknown]>([
  ['no JSON', 'no JSON'],
  ['another instance', record({ instance: 'others' })],
  ['another fence', record({ fenceId: 'two' })],
  ['a user to be deleted that is not the own one', record({ ownUser: 'app' })],
  ['a newer format', { ...record(), formatVersion: 2 }],
  ['a time that is none', record({ fencedAt: 'yesterday' })],
  ['a rule that is none', record({ users: [{ name: 'app', rule: 'FLUSHALL' }] })],
  ['a name without end', record({ users: [{ name: 'x'.repeat(2_000), rule: 'user x on' }] })],
  ['users without end', record({ users: Array.from({ length: 50_001 }, () => ({ name: 'x', rule: 'user x on' })) })],
])('a record with %s is refused and not taken for no fence, and nothing of it is quoted', async (_, content) => {
  await repository.putSmall(
    'fences/orders/one/fence.json',
    Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)),
  );
  const error = await findOpenFences(repository, 'orders').then(
    () => undefined,
    (reason) => reason,
  );
  expect(error).toMatchObject({ code: 'FENCE_RECORD_INVALID' });
  expect(error.message.length).toBeLessThan(200);
  expect(error.message).not.toMatch(/nopass|FLUSHALL/);
});

test('what is larger than any record is not read', async () => {
  await repository.putSmall('fences/orders/one/fence.json', Buffer.alloc(17 * 1024 * 1024, 32));
  await expect(findOpenFences(repository, 'orders')).rejects.toMatchObject({ code: 'OBJECT_TOO_LARGE' });
});

test('objects that no fence wrote are passed over', async () => {
  await openFence(repository, record());
  await repository.putSmall('fences/orders/README.md', Buffer.from('x'));
  await repository.putSmall('fences/orders/one/added-zz.json', Buffer.from('x'));
  await repository.putSmall('fences/orders/one/deep/er.json', Buffer.from('x'));
  expect(await findOpenFences(repository, 'orders')).toHaveLength(1);
});

test.each(['', '..', 'a/b', '.hidden', 'x'.repeat(129)])('%j is no id of a fence', (id) => {
  expect(() => assertFenceId(id)).toThrow(/no id/);
});
