import { createInterface } from 'node:readline/promises';
import { Client } from '@temporalio/client';
import { connectClient } from '../workers/temporal-connection.ts';
import type { AnswerKind } from '../workflows/gate-decision.ts';
import { type AnswerPayload, type AskedRun, findAskedRun, sendAnswer } from './answer-run.ts';
import { effectiveConfig } from './effective-config.ts';
import { summaryText } from './gate-notice.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';
import { claimedName } from './run-workflow.ts';
import { wrap } from './wrap.ts';

export interface AnswerOptions {
  readonly approver?: string;
  readonly yes?: boolean;
  readonly reason?: string;
  readonly choice?: string;
  readonly plan?: string;
  readonly step?: string;
  readonly input?: Readonly<Record<string, unknown>>;
}

/** Approves what a run shows at its gate: bound to the digest of exactly that. */
export async function approve(context: CliContext, options: AnswerOptions, workflow: string): Promise<ExitCode> {
  return answer(context, options, workflow, 'approve', ({ gate }) => ({
    gate: gate.name,
    plan: options.plan ?? gate.plan,
    ...(options.choice === undefined ? {} : { choice: options.choice }),
    ...(options.reason === undefined ? {} : { reason: options.reason }),
  }));
}

/** Finds what is asked, has a person confirm it on a terminal, and answers it. */
export async function answer(
  context: CliContext,
  options: AnswerOptions,
  workflow: string,
  kind: AnswerKind,
  payloadFor: (run: AskedRun) => Omit<AnswerPayload, 'approver'>,
): Promise<ExitCode> {
  const { temporal } = await effectiveConfig(context);
  const connected = await connectClient(temporal);
  // The claim may be another; Temporal records who typed it.
  const { connection, options: known } = connected;
  const client = new Client({ connection, namespace: known.namespace, identity: claimedName() });
  try {
    const run = await findAskedRun(client, workflow, kind, options.step);
    const payload = { approver: options.approver ?? claimedName(), ...payloadFor(run) };
    if (!options.yes && !(await confirmed(context, run, kind, payload))) return 1;
    const answered = await sendAnswer(client, run, kind, payload);
    const missing = answered.required - answered.approvals;
    const more = kind === 'approve' && missing > 0 ? `\n${missing} more must approve the same.` : '';
    context.output.answer(`${run.workflowId}: ${answered.message}${more}`, { workflowId: run.workflowId, ...answered });
    return 0;
  } finally {
    await connection.close();
  }
}

/** On a terminal the whole of what is answered is shown, and `yes` is typed; a script has decided already. */
async function confirmed(context: CliContext, run: AskedRun, kind: AnswerKind, { choice, plan }: AnswerPayload) {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return true;
  const { gate, workflowId } = run;
  const chosen = choice ?? (kind === 'approve' ? gate.default : undefined);
  const { output, signal } = context;
  output.log(`${workflowId}: ${gate.parked?.step ?? gate.name}\n\n${summaryText(gate, true)}\n`);
  for (const { id, text, loses } of gate.choices) {
    const mark = id === (chosen ?? kind) ? '>' : ' ';
    output.log(`${mark} ${wrap(`${id}: ${text}`, 2, 4).trimStart()}`);
    output.log(wrap(`loses: ${loses}`, 4, 6));
  }
  if (gate.deadline)
    output.log(`\n${gate.approvals} of ${gate.required} approvals; it is rejected at ${gate.deadline}.`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const what = [kind, chosen, plan && `of the plan ${plan}`].filter(Boolean).join(' ');
    const typed = await terminal.question(`\nType yes to ${what}: `, { signal });
    if (typed.trim().toLowerCase() === 'yes') return true;
    output.log('Nothing was answered.');
    return false;
  } finally {
    terminal.close();
  }
}
