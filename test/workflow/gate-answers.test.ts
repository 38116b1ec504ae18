import { randomUUID } from 'node:crypto';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import type { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Answered } from '../../workflows/gate-messages.ts';
import type { Progress } from '../../workflows/run-story.ts';
import { searchAttributes } from '../../workflows/search-attributes.ts';
import { type GateWorker, startGateWorker, untilAsked } from '../support/gate-worker.ts';
import { goSignal } from '../support/gate-workflows.ts';

let on: GateWorker;
beforeAll(async () => {
  on = await startGateWorker(inject('temporal'));
});
afterAll(() => on?.stop());

type Run = Awaited<ReturnType<GateWorker['gated']>>;

const update = (run: Run, kind: string, payload: unknown, updateId?: string) =>
  run.executeUpdate<Answered, [unknown]>(kind, { args: [payload], updateId });

/** The code and the details of an update that did not get through. */
async function refusal(answered: Promise<unknown>): Promise<{ code: unknown; message: string; answered?: Answered }> {
  const error = await answered.then(
    (value) => expect.fail(`it was accepted: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof WorkflowUpdateFailedError)) throw error;
  const cause = error.cause as ApplicationFailure;
  return { code: cause.type, message: cause.message, answered: cause.details?.[0] as Answered };
}

const choices = [
  { id: 'keep-live', text: 'Keep what is live.', loses: 'nothing' },
  { id: 'take-backup', text: 'Take the backup.', loses: '3 keys' },
] as const;

describe('what is shown', () => {
  it('the query has every field of the interface, the run is found by its phase, and the page has commands to copy', async () => {
    const workflowId = `gates/it's-${randomUUID()}`;
    const run = await on.gated(
      { choices, default: 'keep-live', approval: { required: 2, timeoutMs: 600_000 } },
      workflowId,
    );
    const gate = await untilAsked(run);
    const { startTime } = await run.describe();
    expect(gate).toEqual({
      name: 'restore',
      plan: expect.stringMatching(/^[0-9a-f]{16}$/),
      showing: 1,
      summary: 'Puts 1 key back.',
      choices,
      default: 'keep-live',
      deadline: expect.any(String),
      approvals: 0,
      required: 2,
      approvers: [],
    });
    const openFor = Date.parse(gate.deadline as string) - startTime.getTime();
    expect(openFor).toBeGreaterThanOrEqual(600_000);
    expect(openFor).toBeLessThan(660_000);
    const { phase } = await run.query<Progress>('progress');
    expect(phase).toBe('waiting-for-approval');
    await expect
      .poll(async () => (await run.describe()).typedSearchAttributes.get(searchAttributes.phase), { timeout: 30_000 })
      .toBe('waiting-for-approval');

    const { currentDetails: page } = await run.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    expect(page).toContain(`rewind approve 'gates/it'\\''s-`);
    expect(page).toContain('--choice keep-live');
    expect(page).toContain(
      `--name approve --input '{"approver":"YOUR NAME","plan":"${gate.plan}","choice":"keep-live"}'`,
    );
    expect(page).toContain('- `take-backup`: Take the backup. Loses: 3 keys');
    await run.terminate();
  });

  it('after the gate the phase is what it was, and nothing is asked any more', async () => {
    const run = await on.gated({ second: 'swap' });
    await untilAsked(run);
    await update(run, 'approve', { approver: 'alice' });
    await untilAsked(run, 'swap');
    await update(run, 'approve', { approver: 'alice' });
    await run.result();
    expect(await run.query<Progress>('progress')).toEqual({ phase: 'restoring', step: 'readPolicy' });
  });
});

describe('approving', () => {
  it('an update answers at once and names what it was counted for', async () => {
    const run = await on.gated({ choices, default: 'keep-live' });
    const gate = await untilAsked(run);
    expect(await update(run, 'approve', { approver: 'alice', plan: gate.plan })).toEqual({
      accepted: true,
      gate: 'restore',
      plan: gate.plan,
      approvals: 1,
      required: 1,
      choice: 'keep-live',
      message: 'alice approved keep-live (1 of 1)',
    });
    const { answers, failure } = await run.result();
    expect(failure).toBeUndefined();
    expect(answers).toMatchObject([
      {
        outcome: 'approved',
        choice: 'keep-live',
        plan: gate.plan,
        approvals: [{ approver: 'alice', planNamed: true }],
      },
    ]);
  });

  it('a signal without a plan counts for the one that is open, and that is recorded', async () => {
    const run = await on.gated({ choices });
    const gate = await untilAsked(run);
    await run.signal('approve', { approver: 'bob', choice: 'take-backup', reason: 'the night is long' });
    const { answers, decisions } = await run.result();
    expect(answers[0]).toMatchObject({ choice: 'take-backup', plan: gate.plan, approvals: [{ planNamed: false }] });
    const [answered] = decisions.filter(({ what }) => what === 'answered');
    expect(answered).toMatchObject({
      gate: 'restore',
      plan: gate.plan,
      message: `bob approved take-backup (1 of 1); it named no plan and counts for ${gate.plan}`,
      answer: { accepted: true, approver: 'bob', choice: 'take-backup', reason: 'the night is long', planNamed: false },
    });
  });

  it('Temporal’s own identity stands beside every claim, for signals and for updates, and is the event’s', async () => {
    const run = await on.gated({ approval: { required: 2, timeoutMs: 600_000 } });
    await untilAsked(run);
    await run.signal('approve', { gate: 'nowhere', approver: 'mallory' });
    await run.signal('approve', { approver: 'alice' });
    await update(run, 'approve', { approver: 'bob' });
    const { decisions } = await run.result();
    const { events } = await run.fetchHistory();
    const eventOf = (eventId?: string) => events?.find((event) => String(event.eventId) === eventId);
    const answers = decisions.flatMap(({ answer }) => answer ?? []);
    expect(answers.map(({ approver, accepted, identity }) => [approver, accepted, identity])).toEqual([
      ['mallory', false, 'operator@console'],
      ['alice', true, 'operator@console'],
      ['bob', true, 'operator@console'],
    ]);
    const [first, second, third] = answers.map(({ eventId }) => eventOf(eventId));
    expect(first?.workflowExecutionSignaledEventAttributes?.signalName).toBe('approve');
    expect(Number(second?.eventId)).toBeGreaterThan(Number(first?.eventId));
    expect(third?.workflowExecutionUpdateAcceptedEventAttributes).toBeTruthy();
  });

  it('one update id is one approval, however often it is sent', async () => {
    const run = await on.gated({ approval: { required: 2, timeoutMs: 600_000 } });
    await untilAsked(run);
    const first = await update(run, 'approve', { approver: 'alice' }, 'once');
    expect(await update(run, 'approve', { approver: 'alice' }, 'once')).toEqual(first);
    await update(run, 'approve', { approver: 'bob' });
    const { decisions } = await run.result();
    expect(decisions.filter(({ what }) => what === 'answered')).toHaveLength(2);
  });
});

describe('two approvers', () => {
  const approval = { required: 2, timeoutMs: 600_000 };

  it('the same one twice counts once, whatever the case of the name', async () => {
    const run = await on.gated({ approval });
    await untilAsked(run);
    expect(await update(run, 'approve', { approver: 'alice' })).toMatchObject({ approvals: 1, required: 2 });
    expect(await update(run, 'approve', { approver: ' Alice' })).toMatchObject({ approvals: 1, required: 2 });
    expect((await untilAsked(run)).approvals).toBe(1);
    expect(await update(run, 'approve', { approver: 'bob' })).toMatchObject({ approvals: 2, required: 2 });
    const { answers } = await run.result();
    expect(answers[0]?.approvals.map(({ approver }) => approver)).toEqual(['Alice', 'bob']);
  });

  it('different choices do not add up; one who thinks better of it does', async () => {
    const run = await on.gated({ approval, choices });
    await untilAsked(run);
    await update(run, 'approve', { approver: 'alice', choice: 'keep-live' });
    expect(await update(run, 'approve', { approver: 'bob', choice: 'take-backup' })).toMatchObject({ approvals: 1 });
    expect((await untilAsked(run)).approvers).toMatchObject([
      { approver: 'alice', choice: 'keep-live' },
      { approver: 'bob', choice: 'take-backup' },
    ]);
    expect(await update(run, 'approve', { approver: 'alice', choice: 'take-backup' })).toMatchObject({
      approvals: 2,
      message: expect.stringContaining('alice approved take-backup instead of keep-live (2 of 2)'),
    });
    expect((await run.result()).answers[0]).toMatchObject({ choice: 'take-backup' });
  });

  it('whoever started the run may not approve it where that is excluded, but may reject it', async () => {
    const run = await on.gated({ approval: { ...approval, required: 1, excludeStarter: true }, starter: 'carol' });
    await untilAsked(run);
    expect(await refusal(update(run, 'approve', { approver: 'Carol' }))).toMatchObject({ code: 'ANSWER_REFUSED' });
    expect((await untilAsked(run)).approvals).toBe(0);
    await update(run, 'reject', { approver: 'carol', reason: 'the wrong instance' });
    expect((await run.result()).failure).toMatchObject({ code: 'GATE_REJECTED' });
  });

  it('a run that nobody says who started is known by the identity of its first event', async () => {
    const run = await on.gated({ approval: { ...approval, required: 1, excludeStarter: true } });
    await untilAsked(run);
    const { message } = await refusal(update(run, 'approve', { approver: 'operator@console' }));
    expect(message).toContain('operator@console started the run');
    await update(run, 'approve', { approver: 'dave' });
    expect((await run.result()).failure).toBeUndefined();
  });
});

describe('what is refused, and recorded', () => {
  it('an answer before the gate opens, by signal or update, is not kept for it', async () => {
    const run = await on.gated({ hold: true });
    await run.signal('approve', { approver: 'alice' });
    expect(await refusal(update(run, 'approve', { approver: 'bob' }))).toMatchObject({
      code: 'ANSWER_REFUSED',
      answered: { accepted: false },
    });
    await run.signal('reject', { approver: 'carol', reason: 'no' });
    await run.signal(goSignal);
    expect((await untilAsked(run)).approvals).toBe(0);
    await update(run, 'approve', { approver: 'dave' });
    const { answers, decisions } = await run.result();
    expect(answers[0]?.approvals.map(({ approver }) => approver)).toEqual(['dave']);
    expect(decisions.flatMap(({ answer }) => answer ?? []).map((a) => [a.approver, a.accepted])).toEqual([
      ['alice', false],
      ['bob', false],
      ['carol', false],
      ['dave', true],
    ]);
  });

  it('a signal sent together with the start finds its handler and is refused, and one for the gate before does not open the next', async () => {
    const run = await on.client.workflow.signalWithStart('gatedRun', {
      taskQueue: on.taskQueue,
      workflowId: `gates/${randomUUID()}`,
      args: [{ instance: 'orders', approval: { required: 1, timeoutMs: 600_000 }, second: 'swap' }],
      signal: 'approve',
      signalArgs: [{ approver: 'hasty' }],
    });
    await untilAsked(run as Run);
    await update(run as Run, 'approve', { approver: 'alice' });
    const second = await untilAsked(run as Run, 'swap');
    expect(second).toMatchObject({ approvals: 0, showing: 2 });
    expect(await refusal(update(run as Run, 'approve', { approver: 'bob', gate: 'restore' }))).toMatchObject({
      code: 'ANSWER_REFUSED',
      message: 'the gate restore is not open; the run waits at swap',
    });
    await update(run as Run, 'approve', { approver: 'bob', gate: 'swap' });
    const { decisions } = (await run.result()) as Awaited<ReturnType<Run['result']>>;
    expect(decisions[0]).toMatchObject({ answer: { approver: 'hasty', accepted: false } });
  });

  it('a plan that is not the one shown', async () => {
    const run = await on.gated();
    const gate = await untilAsked(run);
    const { message, answered } = await refusal(
      update(run, 'approve', { approver: 'alice', plan: '0123456789abcdef' }),
    );
    expect(message).toBe(`the plan 0123456789abcdef is not the one that is shown now: ${gate.plan}`);
    expect(answered).toMatchObject({ accepted: false, gate: 'restore', plan: gate.plan, approvals: 0, required: 1 });
    await run.signal('approve', { approver: 'alice', plan: '0123456789abcdef' });
    await expect
      .poll(async () => (await on.client.workflow.getHandle(run.workflowId).fetchHistory()).events?.length)
      .toBeGreaterThan(5);
    expect((await untilAsked(run)).approvals).toBe(0);
    await update(run, 'approve', { approver: 'alice', plan: gate.plan });
    const { decisions } = await run.result();
    expect(decisions.flatMap(({ answer }) => answer ?? []).map(({ accepted }) => accepted)).toEqual([
      false,
      false,
      true,
    ]);
  });

  it('a choice that there is not, and none where there is no default', async () => {
    const run = await on.gated({ choices });
    await untilAsked(run);
    expect((await refusal(update(run, 'approve', { approver: 'a', choice: 'both' }))).message).toBe(
      'there is no choice both; there are: keep-live, take-backup',
    );
    expect((await refusal(update(run, 'approve', { approver: 'a' }))).message).toContain('a choice is needed');
    expect((await untilAsked(run)).approvals).toBe(0);
    await run.terminate();
  });

  const malformed: [string, string, unknown][] = [
    ['no object', 'approve', 'alice'],
    ['nothing at all', 'approve', undefined],
    ['a list', 'approve', [{ approver: 'alice' }]],
    ['no approver', 'approve', { choice: 'approve' }],
    ['an empty approver', 'approve', { approver: ' \n' }],
    ['an approver that is no text', 'approve', { approver: { name: 'alice' } }],
    ['a rejection without a reason', 'reject', { approver: 'alice' }],
    ['a reason longer than any', 'reject', { approver: 'alice', reason: 'x'.repeat(10_000) }],
  ];
  it('wrong forms: an update is rejected before it is in the history, a signal is recorded; neither fails the run', async () => {
    const run = await on.gated();
    await untilAsked(run);
    for (const [, kind, payload] of malformed) {
      expect(await refusal(update(run, kind, payload))).toMatchObject({ code: 'ANSWER_INVALID' });
      await run.signal(kind, payload);
    }
    await update(run, 'approve', { approver: 'alice' });
    const { decisions, answers } = await run.result();
    expect(answers).toHaveLength(1);
    const refused = decisions.filter(({ answer }) => answer?.accepted === false);
    expect(refused.map(({ answer }) => answer?.event.via)).toEqual(malformed.map(() => 'signal'));
    const { events } = await run.fetchHistory();
    expect(events?.filter((event) => event.workflowTaskFailedEventAttributes)).toEqual([]);
    expect(events?.filter((event) => event.workflowExecutionUpdateAcceptedEventAttributes)).toHaveLength(1);
  });

  it('retry, skip and abort at a gate, with what is possible there', async () => {
    const run = await on.gated();
    await untilAsked(run);
    for (const kind of ['retry', 'skip', 'abort']) {
      const { message } = await refusal(update(run, kind, { approver: 'alice', reason: 'why' }));
      expect(message).toBe('nothing is parked; the run waits at the gate restore: approve or reject');
    }
    await run.terminate();
  });
});

describe('the end of a gate', () => {
  it('one rejection is enough, and says by whom and why', async () => {
    const run = await on.gated({ approval: { required: 2, timeoutMs: 600_000 } });
    await untilAsked(run);
    await update(run, 'approve', { approver: 'alice' });
    expect(await update(run, 'reject', { approver: 'bob', reason: 'orders is fine, it was pages' })).toMatchObject({
      accepted: true,
    });
    const { failure, answers } = await run.result();
    expect(answers).toEqual([]);
    expect(failure).toEqual({ code: 'GATE_REJECTED', message: 'bob rejected restore: orders is fine, it was pages' });
  });

  it('nobody in time is a rejection, with reminders before it', async () => {
    const run = await on.gated({ approval: { required: 2, timeoutMs: 3_000 }, remindEveryMs: 1_000 });
    await untilAsked(run);
    await update(run, 'approve', { approver: 'alice' });
    const { failure, decisions } = await run.result();
    expect(failure).toEqual({
      code: 'GATE_TIMED_OUT',
      message: 'restore had 1 of 2 approvals after 3 s, which counts as rejected',
    });
    expect(decisions.filter(({ what }) => what === 'reminded').length).toBeGreaterThanOrEqual(1);
    expect(decisions.at(-1)?.what).toBe('timed-out');
  });

  it('a cancelled run leaves the gate, and says so', async () => {
    const run = await on.gated();
    await untilAsked(run);
    await run.cancel();
    const { answers, decisions } = await run.result();
    expect(answers).toEqual([]);
    expect(decisions.map(({ what }) => what)).toEqual(['shown', 'cancelled']);
  });
});
