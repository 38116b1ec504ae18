import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { defaultPayloadConverter, fromPayloadsAtIndex } from '@temporalio/common';
import type { Heartbeat } from '../activities/step.ts';
import type { GateShown } from '../workflows/gate-shown.ts';
import type { Progress } from '../workflows/run-story.ts';
import type { ProgressView } from './progress-view.ts';

/** Asked this often while a run is followed: often enough for a bar that moves, rarely enough for a busy server. */
const POLL_MS = 500;

/**
 * Follows a run to its end: the phase from the query `progress`, live figures from the running step's heartbeat.
 *
 * @param onGate called once for each plan that a person is asked about
 * @throws what the workflow failed with
 */
export async function followRun<Result>(
  handle: WorkflowHandle,
  view: ProgressView,
  signal: AbortSignal,
  onGate: (gate: GateShown) => void = () => undefined,
): Promise<Result> {
  let shown: number | undefined;
  let over = false;
  const result = (handle.result() as Promise<Result>).finally(() => {
    over = true;
  });
  // The poll below must not leave it unhandled when it rejects between two looks.
  result.catch(() => undefined);
  while (!over) {
    signal.throwIfAborted();
    const progress = await handle.query<Progress>('progress').catch(() => undefined);
    if (over) break;
    if (progress?.gate && progress.gate.showing !== shown) onGate(progress.gate);
    shown = progress?.gate?.showing ?? shown;
    if (progress) view.show({ ...progress, ...(await liveFigures(handle).catch(() => undefined)) });
    await Promise.race([sleep(POLL_MS, undefined, { ref: false }), result.catch(() => undefined)]);
  }
  view.end();
  return result;
}

/** The heartbeat of the step that runs; of several, the one that has a total. */
async function liveFigures(handle: WorkflowHandle): Promise<Heartbeat<unknown> | undefined> {
  const { raw } = await handle.describe();
  const beats = (raw.pendingActivities ?? [])
    .filter((activity) => activity.heartbeatDetails?.payloads?.length)
    .map((activity) =>
      fromPayloadsAtIndex<Heartbeat<unknown>>(defaultPayloadConverter, 0, activity.heartbeatDetails?.payloads),
    );
  return beats.find((beat) => beat.total) ?? beats[0];
}
