import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import type { Answered } from '../../workflows/gate-messages.ts';
import type { Progress } from '../../workflows/run-story.ts';
import { searchAttributes } from '../../workflows/search-attributes.ts';
import { type GateWorker, startGateWorker } from '../support/gate-worker.ts';

let on: GateWorker;
beforeAll(async () => {
  on = await startGateWorker(inject('temporal'));
});
afterAll(() => on?.stop());

type Run = Awaited<ReturnType<GateWorker['parked']>>;

const fail = { code: 'DISK_FULL', message: 'no room on /var/lib/redis', next: 'Make room there, then retry.' };

async function untilParked(run: Run, steps = 1): Promise<Progress> {
  let progress: Progress | undefined;
  await expect
    .poll(async () => (progress = await run.query<Progress>('progress')).parked?.length, { timeout: 60_000 })
    .toBe(steps);
  return progress as Progress;
}

const answer = (run: Run, kind: string, payload: object) =>
  run.executeUpdate<Answered, [unknown]>(kind, { args: [{ approver: 'alice', ...payload }] });

const refused = (message: string) => ({ cause: { type: 'ANSWER_REFUSED', message: expect.stringContaining(message) } });

it('a step that fails for good parks the run: reason, what to do and what is done are shown, and nothing fails', async () => {
  const file = await on.says({ fail });
  const run = await on.parked({ step: { file, rate: 10 } });
  const { phase, gate, parked } = await untilParked(run);
  expect(phase).toBe('parked');
  expect(parked).toEqual([gate]);
  expect(gate).toMatchObject({
    name: 'parked',
    plan: expect.stringMatching(/^[0-9a-f]{16}$/),
    summary: [
      '`placeFiles` cannot go on: **DISK_FULL**: no room on /var/lib/redis',
      'Next: Make room there, then retry.',
      'Done already: The fence stands; 10 keys are back.',
    ].join('\n\n'),
    choices: [{ id: 'retry' }, { id: 'abort' }],
    approvals: 0,
    required: 1,
    parked: { step: 'placeFiles', code: 'DISK_FULL', next: 'Make room there, then retry.' },
  });
  expect(gate).not.toHaveProperty('deadline');
  await expect
    .poll(async () => (await run.describe()).typedSearchAttributes.get(searchAttributes.phase), { timeout: 30_000 })
    .toBe('parked');
  expect((await run.describe()).raw.pendingActivities ?? []).toEqual([]);
  await run.terminate();
});

it('retry goes on where it was, and parks again when nothing was mended', async () => {
  const file = await on.says({ fail });
  const run = await on.parked({ step: { file, rate: 10 } });
  const first = await untilParked(run);
  expect(await answer(run, 'retry', {})).toMatchObject({ accepted: true, gate: 'parked', approvals: 1, required: 1 });
  await expect
    .poll(async () => (await run.query<Progress>('progress')).gate?.showing, { timeout: 60_000 })
    .toBeGreaterThan(first.gate?.showing as number);
  const second = await untilParked(run);
  expect(second.gate?.plan).not.toBe(first.gate?.plan);
  await expect(answer(run, 'retry', { plan: first.gate?.plan })).rejects.toMatchObject(
    refused('not what is shown now'),
  );
  await on.says('', file);
  await run.signal('retry', { approver: 'bob', plan: second.gate?.plan });
  const { step, decisions } = await run.result();
  expect(step).toEqual({ file, rate: 10 });
  expect(decisions.map(({ what }) => what)).toEqual([
    'parked',
    'answered',
    'retried',
    'parked',
    'answered',
    'answered',
    'retried',
  ]);
});

it('corrected input is laid over the step’s own; what it cannot use is refused and named', async () => {
  const file = await on.says({ fail });
  const mended = await on.says('');
  const run = await on.parked({ step: { file, rate: 10 } });
  await untilParked(run);
  await expect(answer(run, 'retry', { input: { fiel: mended } })).rejects.toMatchObject(
    refused('the step has no input fiel; it has: file, rate, note'),
  );
  await expect(answer(run, 'retry', { input: { rate: '5' } })).rejects.toMatchObject(
    refused('rate is a number, not a string'),
  );
  await expect(answer(run, 'retry', { input: { rate: 500 } })).rejects.toMatchObject(refused('rate is at most 100'));
  await answer(run, 'retry', { input: { file: mended, note: 'by hand' } });
  expect((await run.result()).step).toEqual({ file: mended, rate: 10, note: 'by hand' });
});

it('skip leaves a step out only where that is safe', async () => {
  const file = await on.says({ fail });
  const [unsafe, safe] = [
    await on.parked({ step: { file, rate: 10 } }),
    await on.parked({ step: { file, rate: 10 }, safeToSkip: true }),
  ];
  await untilParked(unsafe);
  await expect(answer(unsafe, 'skip', {})).rejects.toMatchObject(refused('placeFiles cannot be left out safely'));
  await unsafe.terminate();
  expect((await untilParked(safe)).gate?.choices.map(({ id }) => id)).toEqual(['retry', 'skip', 'abort']);
  await answer(safe, 'skip', {});
  const { step, failure, decisions } = await safe.result();
  expect({ step, failure }).toEqual({});
  expect(decisions.at(-1)).toMatchObject({ what: 'skipped', message: 'alice had placeFiles left out' });
});

it('abort ends the run, by whom and why; approve and reject are not for a parked step', async () => {
  const run = await on.parked({ step: { file: await on.says({ fail }), rate: 10 } });
  await untilParked(run);
  for (const kind of ['approve', 'reject']) {
    await expect(answer(run, kind, { reason: 'why' })).rejects.toMatchObject(
      refused('no gate is open; placeFiles is parked: retry, abort'),
    );
  }
  await answer(run, 'abort', { reason: 'the host is lost' });
  expect((await run.result()).failure).toEqual({
    code: 'ABORTED',
    message: 'alice ended it at placeFiles: the host is lost',
  });
});

it('two steps parked at once, with a gate open beside them, are each answered for themselves', async () => {
  const [file, beside] = [await on.says({ fail }), await on.says({ fail })];
  const approval = { required: 1, timeoutMs: 600_000 };
  const run = await on.parked({ step: { file, rate: 10 }, beside: { file: beside }, approval });
  const { phase, gate, parked } = await untilParked(run, 2);
  expect(phase).toBe('waiting-for-approval');
  expect(gate).toMatchObject({ name: 'restore', required: 1 });
  expect(new Set(parked?.map((shown) => shown.parked?.step))).toEqual(new Set(['placeFiles', 'watchFence']));
  await on.says('', beside);
  expect(await answer(run, 'retry', { gate: 'watchFence' })).toMatchObject({ message: 'alice: retry watchFence' });
  expect((await untilParked(run)).parked).toMatchObject([{ parked: { step: 'placeFiles' } }]);
  await answer(run, 'approve', { plan: gate?.plan });
  await expect.poll(async () => (await run.query<Progress>('progress')).phase, { timeout: 30_000 }).toBe('parked');
  await on.says('', file);
  await answer(run, 'retry', {});
  expect(await run.result()).toMatchObject({ step: { file }, beside: { file: beside }, answer: { choice: 'approve' } });
});
