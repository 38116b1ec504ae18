import type { Client } from '@temporalio/client';
import type { Choice } from '../../workflows/gate-decision.ts';
import type { GateShown } from '../../workflows/gate-shown.ts';
import { progressOf } from '../answer-run.ts';
import type { RunningWorkflow } from './running-workflows.ts';

/** A run that waits for a person, and how to answer it. */
export interface WaitingWorkflow {
  readonly workflowId: string;
  readonly runId: string;
  readonly type: string;
  /** Name of the gate; `parked` where a step cannot go on. */
  readonly gate: string;
  /** Digest of what is shown; absent where no orchestrator is there to say it. */
  readonly plan?: string;
  /** Markdown. */
  readonly summary: string;
  readonly choices: readonly Choice[];
  readonly default?: string;
  /** ISO 8601; absent: it waits without end. */
  readonly deadline?: string;
  readonly approvals: number;
  readonly required: number;
  /** What answers it. */
  readonly command: string;
}

/** `status` has more to ask than one run. */
const SILENT_MS = 3_000;

/**
 * What the running workflows of every instance ask of people. Which of them wait, Temporal itself knows; what they ask,
 * only the orchestrator.
 */
export async function waitingWorkflows(
  client: Client,
  running: ReadonlyMap<string, readonly RunningWorkflow[]>,
): Promise<ReadonlyMap<string, readonly WaitingWorkflow[]>> {
  const found = new Map<string, readonly WaitingWorkflow[]>();
  for (const [instance, runs] of running) {
    const waiting = runs.filter(({ phase }) => phase === 'waiting-for-approval' || phase === 'parked');
    const asked = await Promise.all(waiting.map((run) => askedBy(client, run)));
    if (waiting.length > 0) found.set(instance, asked.flat());
  }
  return found;
}

async function askedBy(client: Client, run: RunningWorkflow): Promise<readonly WaitingWorkflow[]> {
  const { workflowId, runId, type } = run;
  const about = { workflowId, runId, type };
  try {
    const { gate, parked = [] } = await progressOf(client, client.workflow.getHandle(workflowId, runId), SILENT_MS);
    const shown = [...(gate && !gate.parked ? [gate] : []), ...parked];
    return shown.map((each) => ({ ...about, ...asWaiting(each), command: commandFor(workflowId, each) }));
  } catch (error) {
    const summary = `What it asks is not known: ${(error as Error).message}`;
    const gate = run.phase === 'parked' ? 'parked' : 'unknown';
    return [
      { ...about, gate, summary, choices: [], approvals: 0, required: 1, command: 'rewind worker --role orchestrator' },
    ];
  }
}

function asWaiting({ name, plan, summary, choices, default: standard, deadline, approvals, required }: GateShown) {
  return {
    gate: name,
    plan,
    summary,
    choices,
    ...(standard === undefined ? {} : { default: standard }),
    ...(deadline === undefined ? {} : { deadline }),
    approvals,
    required,
  };
}

function commandFor(workflowId: string, { parked, choices, default: standard }: GateShown): string {
  const id = /^[\w@%+=:,./-]+$/.test(workflowId) ? workflowId : `'${workflowId.replaceAll("'", `'\\''`)}'`;
  if (parked) return `rewind retry ${id}`;
  return `rewind approve ${id}${choices.length > 1 ? ` --choice ${standard ?? choices[0]?.id}` : ''}`;
}
