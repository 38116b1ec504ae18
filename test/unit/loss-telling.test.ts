import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LossFound } from '../../archive/loss/judge-loss.ts';
import { LossMemory } from '../../archive/loss/loss-memory.ts';
import { LossTelling } from '../../archive/loss/loss-telling.ts';
import { asOwnChange } from '../../archive/loss/own-change.ts';
import { SeenArchive } from '../../archive/loss/seen-archive.ts';
import type { ToldLoss } from '../../archive/loss/told-loss.ts';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { createIdentity } from '../../repository/identity.ts';
import { archiveContext, instance, until } from '../support/archive.ts';
import { watchOften } from '../support/loss.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const hourMs = 3_600_000;

let folder: TemporaryFolder;
let context: InstanceContext;
let memory: LossMemory;
let telling: LossTelling;
let running: Promise<void>;
let end: AbortController;
let told: ToldLoss[];
let now: () => number;

beforeEach(async () => {
  folder = await temporaryFolder('loss-telling');
  const folders = { home: join(folder.path, 'home'), repository: join(folder.path, 'store') };
  context = await archiveContext({ url: 'redis://127.0.0.1:1' }, folders);
  await createIdentity(context.repository, instance, {
    name: 'redis',
    version: '7.0.15',
    runId: 'a'.repeat(40),
    replicationIds: ['b'.repeat(40)],
  } as never);
  memory = (await LossMemory.of(context))!;
  [told, now] = [[], Date.now];
  const options = { ...watchOften, askMs: 10, exactMs: 50, now: () => now() };
  const hooks = { tell: async (loss: ToldLoss) => void told.push(loss) };
  telling = new LossTelling(context, hooks, options, { memory, archive: new SeenArchive(0) });
  end = new AbortController();
  running = telling.run(end.signal);
});
afterEach(async () => {
  end.abort();
  await running;
  await folder.remove();
});

function notice(kind: LossFound['kind'], atMs: number): Promise<void> {
  const counts = { keysBefore: 10, keysNow: 0, keysLost: 10, databases: [0] };
  return telling.notice({ kind, ...counts, goodMs: atMs - 1 }, { atMs, lastLookMs: atMs - 1 });
}
const done = () =>
  until('all is done about it', async () => memory.state.loss?.told === true && memory.state.loss.pinned);

test('what is lost after the clock was set back is a loss of its own', async () => {
  const atMs = Date.now();
  await notice('flush', atMs);
  await done();
  await notice('flush', atMs - hourMs);
  await done();
  expect(told.map(({ timeMs }) => timeMs)).toEqual([atMs, atMs - hourMs]);
});

test('a clock that was an hour ahead when a loss was noticed keeps nobody from telling it', async () => {
  await notice('came-back-empty', Date.now() + hourMs);
  await done();
  expect(told).toHaveLength(1);
});

test('what somebody loses soon after a restore of ours is told', async () => {
  const atMs = Date.now();
  await asOwnChange({ ...context, policy: { ...context.policy, archive: {} as never } }, 'restore', () =>
    notice('flush', atMs),
  );
  await done();
  expect(memory.state.loss).toMatchObject({ own: 'restore' });
  // A minute is one loss; what a change does shows for half of it.
  await notice('flush', Date.now() + 45_000);
  await done();
  expect(told).toMatchObject([{ kind: 'flush' }]);
});
