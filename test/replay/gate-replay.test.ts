import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { WorkflowHandle } from '@temporalio/client';
import proto from '@temporalio/proto';
import { Worker, type WorkflowBundle } from '@temporalio/worker';
import Long from 'long';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import type { Progress } from '../../workflows/run-story.ts';
import { bundleGates, type GateWorker, startGateWorker, untilAsked } from '../support/gate-worker.ts';

const { History } = proto.temporal.api.history.v1;
type History = proto.temporal.api.history.v1.IHistory;

let on: GateWorker;
let workflowBundle: WorkflowBundle;
beforeAll(async () => {
  workflowBundle = await bundleGates();
  on = await startGateWorker(inject('temporal'), workflowBundle);
});
afterAll(() => on?.stop());

const choices = [{ id: 'keep-live', text: 'Keep what is live.', loses: 'nothing' }];
const planOf = (conflicts: number) => ({ summary: `${conflicts} keys conflict.`, choices, plan: { conflicts } });

/** A run that has seen everything a gate can: refused, voided, reminded, looked at, approved by one of two. */
async function eventfulGate() {
  const file = await on.says(planOf(0));
  const approval = { required: 2, timeoutMs: 6_000_000, excludeStarter: true };
  const run = await on.gated({ hold: true, approval, choices, look: { file, everyMs: 500 }, remindEveryMs: 700 });
  await run.signal('approve', { approver: 'too early' });
  await run.signal('approve', 'nonsense');
  await run.signal('go');
  await untilAsked(run);
  await approve(run, 'alice');
  await on.says(planOf(7), file);
  await expect
    .poll(async () => (await run.query<Progress>('progress')).gate?.summary, { timeout: 60_000 })
    .toBe('7 keys conflict.');
  await approve(run, 'alice');
  return run;
}

const approve = (run: WorkflowHandle, approver: string) => run.executeUpdate('approve', { args: [{ approver }] });
const replays = (history: unknown, bundle = workflowBundle) =>
  Worker.runReplayHistory({ workflowBundle: bundle }, history);

it('a run at its gate, and the same run when it is done, replays to the same', async () => {
  const run = await eventfulGate();
  await replays(await run.fetchHistory());
  await approve(run, 'bob');
  expect((await run.result()).failure).toBeUndefined();
  await replays(await run.fetchHistory());
});

it('a parked run replays to the same', async () => {
  const file = await on.says({ fail: { code: 'DISK_FULL', message: 'no room' } });
  const run = await on.parked({ step: { file, rate: 10 } });
  await expect.poll(async () => (await run.query<Progress>('progress')).parked, { timeout: 60_000 }).toHaveLength(1);
  await replays(await run.fetchHistory());
  await run.executeUpdate('abort', { args: [{ approver: 'alice', reason: 'enough' }] });
  await run.result();
  await replays(await run.fetchHistory());
});

const recorded = fileURLToPath(new URL('./histories/gate-0.2.json', import.meta.url));

it('a history that was recorded by 0.2 at a gate goes on in this version (RECORD_HISTORIES=1 records it anew)', async () => {
  if (process.env.RECORD_HISTORIES)
    await writeFile(recorded, `${withoutMachine(await (await eventfulGate()).fetchHistory())}\n`);
  const history = History.fromObject(JSON.parse(await readFile(recorded, 'utf8')));
  await replays(history);
  // It can fail: without its timers the same history is another one's.
  const events = history.events.filter((event) => !event.timerStartedEventAttributes);
  const renumbered = events.map((event, at) => ({ ...event, eventId: Long.fromNumber(at + 1) }));
  await expect(replays(History.create({ events: renumbered }))).rejects.toThrow();
});

/** As JSON that protobufjs reads again; process ids and names of machines are nobody's business. */
function withoutMachine(history: History): string {
  const told = History.toObject(History.create(history), { longs: String, enums: String, bytes: String });
  const hidden = (key: string, value: unknown) =>
    key === 'identity' && /^\d+@/.test(String(value)) ? 'worker' : value;
  return JSON.stringify(told, hidden, 1);
}
