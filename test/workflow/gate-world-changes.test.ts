import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import type { Progress } from '../../workflows/run-story.ts';
import { type GateWorker, startGateWorker, untilAsked } from '../support/gate-worker.ts';

let on: GateWorker;
beforeAll(async () => {
  on = await startGateWorker(inject('temporal'));
});
afterAll(() => on?.stop());

const choices = [{ id: 'keep-live', text: 'Keep what is live.', loses: 'nothing' }];
const planOf = (conflicts: number) => ({ summary: `${conflicts} keys conflict.`, choices, plan: { conflicts } });
type Run = Awaited<ReturnType<GateWorker['gated']>>;

const approve = (run: Run, approver: string, plan?: string) =>
  run.executeUpdate<unknown, [unknown]>('approve', { args: [{ approver, plan }] });

async function untilShown(run: Run, summary: string) {
  await expect
    .poll(async () => (await run.query<Progress>('progress')).gate?.summary, { timeout: 60_000 })
    .toBe(summary);
  return untilAsked(run);
}

it('a plan that changes while it waits is shown anew: what was approved before is void, and on record as void', async () => {
  const file = await on.says(planOf(0));
  const approval = { required: 2, timeoutMs: 600_000 };
  const run = await on.gated({ approval, look: { file, everyMs: 300 } });
  const first = await untilShown(run, '0 keys conflict.');
  await approve(run, 'alice', first.plan);
  await on.says(planOf(7), file);
  const second = await untilShown(run, '7 keys conflict.');
  expect(second).toMatchObject({ approvals: 0, approvers: [], deadline: first.deadline });
  expect(second.plan).not.toBe(first.plan);
  expect(second.showing).toBeGreaterThan(first.showing);
  await expect(approve(run, 'bob', first.plan)).rejects.toMatchObject({ cause: { type: 'ANSWER_REFUSED' } });
  await approve(run, 'alice', second.plan);
  await approve(run, 'bob', second.plan);
  const { answers, decisions } = await run.result();
  expect(answers[0]).toMatchObject({ plan: second.plan, approvals: [{ approver: 'alice' }, { approver: 'bob' }] });
  expect(decisions.filter(({ what }) => what === 'voided')).toMatchObject([
    { plan: first.plan, voided: [{ approver: 'alice', choice: 'keep-live' }] },
  ]);
});

it('a summary that changes while the plan is the same voids nothing', async () => {
  const file = await on.says({ ...planOf(0), summary: '1 min old.' });
  const run = await on.gated({ approval: { required: 2, timeoutMs: 600_000 }, look: { file, everyMs: 300 } });
  await untilShown(run, '1 min old.');
  await approve(run, 'alice');
  await on.says({ ...planOf(0), summary: '2 min old.' }, file);
  expect(await untilShown(run, '2 min old.')).toMatchObject({ approvals: 1 });
  await approve(run, 'bob');
  expect((await run.result()).failure).toBeUndefined();
});

it('it is looked at once more right after the approval: a change that nobody has seen is shown, not carried out', async () => {
  const file = await on.says(planOf(7));
  // It would not be looked at for ten minutes otherwise.
  const run = await on.gated({ plan: { conflicts: 0 }, choices, look: { file, everyMs: 600_000 } });
  const first = await untilAsked(run);
  await approve(run, 'alice', first.plan);
  const second = await untilShown(run, '7 keys conflict.');
  expect(second.approvals).toBe(0);
  await approve(run, 'alice', second.plan);
  const { answers, decisions } = await run.result();
  expect(answers[0]?.plan).toBe(second.plan);
  expect(decisions.map(({ what }) => what)).toEqual(['shown', 'answered', 'shown', 'voided', 'answered', 'approved']);
});

it('a look that fails while it waits is noted and changes nothing; the last one parks, and a retry goes on', async () => {
  const fail = { fail: { code: 'REDIS_UNREACHABLE', message: 'no answer from 127.0.0.1:1' } };
  const file = await on.says(fail);
  const run = await on.gated({ plan: { conflicts: 0 }, choices, look: { file, everyMs: 300 } });
  await untilAsked(run);
  await expect
    .poll(async () => (await run.query<{ currentDetails: string }>('__temporal_workflow_metadata')).currentDetails, {
      timeout: 60_000,
    })
    .toContain('the world could not be looked at again: no answer from 127.0.0.1:1');
  await approve(run, 'alice');
  await expect
    .poll(async () => (await run.query<Progress>('progress')).parked?.[0]?.parked, { timeout: 60_000 })
    .toMatchObject({ step: 'restore: the look before it is carried out', code: 'REDIS_UNREACHABLE' });
  expect((await run.query<Progress>('progress')).gate).toMatchObject({ name: 'restore', approved: 'keep-live' });
  await on.says('', file);
  await run.executeUpdate<unknown, [unknown]>('retry', { args: [{ approver: 'alice' }] });
  const { answers, failure } = await run.result();
  expect(failure).toBeUndefined();
  expect(answers[0]?.choice).toBe('keep-live');
});

it('a rejection ends an approved gate whose last look cannot be made', async () => {
  const file = await on.says({ fail: { code: 'REDIS_UNREACHABLE', message: 'gone' } });
  const run = await on.gated({ plan: { conflicts: 0 }, choices, look: { file, everyMs: 600_000 } });
  await untilAsked(run);
  await approve(run, 'alice');
  await expect.poll(async () => (await run.query<Progress>('progress')).parked, { timeout: 60_000 }).toHaveLength(1);
  await run.executeUpdate<unknown, [unknown]>('reject', { args: [{ approver: 'bob', reason: 'never mind' }] });
  expect((await run.result()).failure).toMatchObject({ code: 'GATE_REJECTED' });
});

it('a role that is gone keeps neither a rejection nor the deadline waiting', async () => {
  const file = await on.says(planOf(0));
  const gone = { queue: `nobody-${file.slice(-8)}` };
  const approval = { required: 1, timeoutMs: 5_000 };
  const timedOut = await on.gated({ approval, look: { file, everyMs: 300, ...gone } });
  const rejected = await on.gated({ look: { file, everyMs: 300, ...gone } });
  for (const run of [timedOut, rejected]) {
    await expect
      .poll(async () => (await run.describe()).raw.pendingActivities?.length, { timeout: 60_000 })
      .toBeGreaterThan(0);
  }
  await rejected.executeUpdate<unknown, [unknown]>('reject', { args: [{ approver: 'bob', reason: 'no' }] });
  expect((await rejected.result()).failure).toMatchObject({ code: 'GATE_REJECTED' });
  expect((await timedOut.result()).failure).toMatchObject({ code: 'GATE_TIMED_OUT' });
});
