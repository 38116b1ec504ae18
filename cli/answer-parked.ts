import type { AnswerKind } from '../workflows/gate-decision.ts';
import { type AnswerOptions, answer } from './approve.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';

type Answering = (context: CliContext, options: AnswerOptions, workflow: string) => Promise<ExitCode>;

/** Has a step that could not go on tried again, with `--input` laid over its own. */
export const retry: Answering = (context, options, workflow) =>
  answerParked(context, options, workflow, 'retry', { input: options.input });

/** Has it left out, where that is safe. */
export const skip: Answering = (context, options, workflow) => answerParked(context, options, workflow, 'skip', {});

/** Ends the run; what it changed for the time being is put back. */
export const abort: Answering = (context, options, workflow) =>
  answerParked(context, options, workflow, 'abort', { reason: options.reason });

function answerParked(
  context: CliContext,
  options: AnswerOptions,
  workflow: string,
  kind: AnswerKind,
  more: Pick<AnswerOptions, 'input' | 'reason'>,
): Promise<ExitCode> {
  return answer(context, options, workflow, kind, ({ gate }) => ({
    gate: gate.parked?.step,
    plan: gate.plan,
    ...more,
  }));
}
