import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { PutKeysCursor, PutKeysFigures, PutKeysTask } from '../../restore/keys/put-keys.ts';
import { fillServer } from '../../scripts/bench/dataset.ts';
import { Random } from '../../scripts/bench/random.ts';
import { digestOf, flavours, PutKeysStage, put, puttersOf, type Side } from '../support/put-keys.ts';
import { type Flavour, missingFlavour } from '../support/servers.ts';

const stage = new PutKeysStage();
afterEach(() => stage.end());

const keys = 4000;
/** Slow enough to be hit in the middle, on a machine of any speed. */
const limits = { keysPerSecond: 4000 };

/** Keys that are live already: some of the dump's names, with other content and with the same. */
async function fillLive(side: Side): Promise<void> {
  await fillServer(side.server.port, { keys: 700, seed: 77 });
  await side.redis.select(9);
  await side.redis.set('long', 'mine');
  await side.redis.select(0);
}

/** Runs until so many keys are counted, then kills the process; answers the last cursor. */
async function putUntil(
  task: PutKeysTask,
  atKeys: number,
  resumeFrom: PutKeysCursor | undefined,
): Promise<PutKeysCursor | undefined> {
  let last = resumeFrom;
  let killing: Promise<void> | undefined;
  const failure = await put(task, {
    resumeFrom,
    onCursor: (cursor) => {
      last = cursor;
      const { restored, kept, replaced } = cursor.figures;
      if (restored + kept + replaced < atKeys) return;
      killing ??= killPutters();
    },
  }).then(
    () => undefined,
    (error) => error,
  );
  await killing;
  if (failure !== undefined) expect(failure.code).toBe('RESTORE_KEYS_PROCESS_DIED');
  return last;
}

async function killPutters(): Promise<void> {
  for (const pid of await puttersOf(process.pid)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended by itself meanwhile.
    }
  }
}

type Memory = 'the last cursor' | 'an old cursor' | 'no cursor' | 'neither cursor nor its file';

const cases = [
  ['take-backup', 'no cursor'],
  ['keep-live', 'neither cursor nor its file'],
  ['keep-live', 'the last cursor'],
  ['take-backup', 'an old cursor'],
] as const;

describe.each(flavours)('%s', (flavour) => {
  const missing = missingFlavour(flavour);

  // What a cursor remembers does not depend on the server.
  test.skipIf(missing).each(flavour === 'redis-7.0' ? cases : cases.slice(0, 2))(
    'killed -9 several times on the way, %s, resumed with %s: the end and the figures are those of an undisturbed run',
    async (onConflict, memory: Memory) => {
      const { target, task, undisturbed } = await prepared(flavour, onConflict);
      const random = new Random(flavour.length * 31 + memory.length);
      const total = sum(undisturbed.figures);
      let cursor: PutKeysCursor | undefined;
      for (const share of [0.1, 0.35, 0.7]) {
        const reached = await putUntil(task, Math.round(total * share) + random.below(200), cursor);
        if (memory === 'the last cursor') cursor = reached;
        else if (memory === 'an old cursor') cursor ??= reached;
        else cursor = undefined;
        if (memory === 'neither cursor nor its file') await rm(`${task.namesFile}.cursor`, { force: true });
      }
      const figures = await put({ ...task, limits: {} }, { resumeFrom: cursor });
      expect(figures).toEqual(undisturbed.figures);
      expect(await digestOf(target)).toBe(await digestOf(undisturbed.target));
      expect(await linesOf(task)).toEqual(await linesOf(undisturbed.task));
      expect(await puttersOf(process.pid)).toEqual([]);
    },
    120_000,
  );
});

test('a server that was killed and comes back without what it had acknowledged gets everything again', async () => {
  const { target, task, undisturbed } = await prepared('redis-7.0', 'keep-live');
  await target.redis.save();
  let last: PutKeysCursor | undefined;
  let killing: Promise<void> | undefined;
  const failure = await put(task, {
    onCursor: (cursor) => {
      last = cursor;
      if (sum(cursor.figures) > 1000) killing ??= target.server.kill9();
    },
  }).catch((error) => error);
  expect(failure).toMatchObject({ code: 'RESTORE_TARGET_SILENT', retryable: true });
  await killing;
  await target.server.restart();
  const figures = await put({ ...task, limits: {} }, { resumeFrom: last });
  expect(figures).toEqual(undisturbed.figures);
  const again = await stage.connect(target.server);
  expect(await digestOf(again)).toBe(await digestOf(undisturbed.target));
  expect(await linesOf(task)).toEqual(await linesOf(undisturbed.task));
}, 120_000);

test('the process that puts keys ends with a parent that was killed -9; another one goes on', async () => {
  const { target, task, undisturbed } = await prepared('redis-7.0', 'take-backup');
  const script = await stage.file('parent.mjs');
  const engine = new URL('../../restore/keys/put-keys.ts', import.meta.url).href;
  await writeFile(
    script,
    `import { putKeys } from ${JSON.stringify(engine)};
       await putKeys(${JSON.stringify(task)}, {
         signal: new AbortController().signal, onProgress: () => {},
         onCursor: (cursor) => { if (cursor.figures.restored > 800) process.stdout.write('there') },
       });`,
  );
  const parent = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(parent.stdout, 'data');
  const [child] = await puttersOf(parent.pid!);
  expect(child).toBeDefined();
  parent.kill('SIGKILL');
  await once(parent, 'exit');
  const figures = await put({ ...task, limits: {} });
  expect(figures).toEqual(undisturbed.figures);
  expect(await digestOf(target)).toBe(await digestOf(undisturbed.target));
  await expect
    .poll(
      () =>
        readFile(`/proc/${child}/stat`, 'latin1').then(
          (stat) => !/\) Z /.test(stat),
          () => false,
        ),
      {
        timeout: 20_000,
      },
    )
    .toBe(false);
}, 120_000);

test('cancelled, it counts what was under way, says where it stands, and leaves no process; it goes on from there', async () => {
  const { target, task, undisturbed } = await prepared('redis-7.0', 'keep-live');
  const cancel = new AbortController();
  let last: PutKeysCursor | undefined;
  const failure = await put(task, {
    signal: cancel.signal,
    onCursor: (cursor) => {
      last = cursor;
      if (sum(cursor.figures) > 1000) cancel.abort();
    },
  }).catch((error) => error);
  expect(failure.code).toBe('RESTORE_KEYS_CANCELLED');
  expect(await puttersOf(process.pid)).toEqual([]);
  // All that the server took is counted.
  const there = (await target.redis.info('keyspace'))
    .match(/keys=\d+/g)!
    .reduce((n, text) => n + Number(text.slice(5)), 0);
  expect(last!.figures.restored).toBe(there - 701);
  expect(await put({ ...task, limits: {} }, { resumeFrom: last })).toEqual(undisturbed.figures);
  expect(await digestOf(target)).toBe(await digestOf(undisturbed.target));
  // Asked again when all is done, it answers at once.
  expect(await put(task)).toEqual(undisturbed.figures);
}, 120_000);

test('a cursor of another dump is refused', async () => {
  const { task } = await prepared('redis-7.0', 'keep-live');
  let last: PutKeysCursor | undefined;
  await put({ ...task, limits: {}, selection: { match: 'nothing' } }, { onCursor: (cursor) => void (last = cursor) });
  const foreign = { ...last!, dumpBytes: 12345 };
  await expect(put(task, { resumeFrom: foreign })).rejects.toMatchObject({ code: 'RESTORE_CURSOR_FOREIGN' });
});

async function prepared(flavour: Flavour, onConflict: 'keep-live' | 'take-backup') {
  const source = await stage.source(flavour, keys, 41);
  const [target, other] = [await stage.side(flavour), await stage.side(flavour)];
  await fillLive(target);
  await fillLive(other);
  const task = await stage.task(source.dump, target, { onConflict, limits });
  const otherTask = await stage.task(source.dump, other, { onConflict });
  const figures = await put(otherTask);
  expect(onConflict === 'keep-live' ? figures.kept : figures.replaced).toBeGreaterThan(100);
  return { source, target, task, undisturbed: { figures, target: other, task: otherTask } };
}

const sum = ({ restored, kept, replaced }: PutKeysFigures): number => restored + kept + replaced;

async function linesOf(task: PutKeysTask): Promise<string[]> {
  return (await readFile(task.namesFile, 'utf8')).trim().split('\n').sort();
}
