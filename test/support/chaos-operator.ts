import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import type { GateShown } from '../../workflows/gate-shown.ts';
import type { Progress } from '../../workflows/run-story.ts';

export interface Operator {
  /** Steps that waited for a person, and were tried again. */
  readonly retried: readonly string[];
  /** Settles once something is asked at a gate. */
  readonly asked: Promise<void>;
  /** Waits for the end of the run; what stands in the way meanwhile is tried again. */
  result(): Promise<unknown>;
}

/** A person's patience with one question to a server that may be gone, in milliseconds. */
const ANSWER_MS = 15_000;
const LOOK_MS = 200;

/**
 * The person at the runbook: approves what is shown, and has a parked step tried again once what was killed is back. Every
 * question is asked again while Temporal or the orchestrator is away.
 */
export function operate(
  run: WorkflowHandle,
  says: {
    /** Which choice; undefined: the one that is marked. */
    choice(gate: GateShown): string | undefined;
    /** Nobody approves before. */
    mayApprove: Promise<void>;
    /** Nobody has a step tried again before. */
    victimIsBack: Promise<void>;
    /** ms since 1970 after which it gives up. */
    deadline: number;
  },
): Operator {
  const retried: string[] = [];
  const asked = Promise.withResolvers<void>();
  let ended = false;
  let last: Progress | undefined;

  const answer = async (kind: 'approve' | 'retry', payload: object) =>
    within(run.executeUpdate(kind, { args: [{ approver: 'a test', ...payload }] }))
      .then(() => true)
      .catch(() => false);

  const look = async () => {
    const progress = await within(run.query<Progress>('progress')).catch(() => undefined);
    if (!progress) return;
    last = progress;
    const { gate, parked = [] } = progress;
    if (gate && !gate.parked && gate.approved === undefined) {
      asked.resolve();
      await says.mayApprove;
      await answer('approve', { plan: gate.plan, choice: says.choice(gate) });
    }
    for (const each of parked) {
      await says.victimIsBack;
      if (await answer('retry', { plan: each.plan })) retried.push(`${each.parked?.step} ${each.parked?.code}`);
    }
  };
  const working = (async () => {
    for (; !ended && Date.now() < says.deadline; await sleep(LOOK_MS)) await look();
  })();

  return {
    retried,
    asked: asked.promise,
    async result() {
      try {
        for (;;) {
          try {
            return await within(run.result(), Math.max(1, says.deadline - Date.now()));
          } catch (error) {
            if (error instanceof WorkflowFailedError) throw error;
            if (Date.now() >= says.deadline) {
              throw new Error(`it is not at its end; it last said ${JSON.stringify(last)?.slice(0, 1_500)}`);
            }
            await sleep(LOOK_MS);
          }
        }
      } finally {
        ended = true;
        await working;
      }
    },
  };
}

/** What is not answered in time counts as refused; the late answer does no harm. */
async function within<T>(answer: Promise<T>, ms = ANSWER_MS): Promise<T> {
  const late = new AbortController();
  answer.catch(() => undefined);
  try {
    return await Promise.race([
      answer,
      sleep(ms, undefined, { signal: late.signal }).then(() => Promise.reject(new Error(`no answer in ${ms} ms`))),
    ]);
  } finally {
    late.abort();
  }
}
