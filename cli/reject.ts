import { type AnswerOptions, answer } from './approve.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';

/** Rejects what a run shows at its gate. One rejection is enough. */
export async function reject(context: CliContext, options: AnswerOptions, workflow: string): Promise<ExitCode> {
  return answer(context, options, workflow, 'reject', ({ gate }) => ({
    gate: gate.name,
    plan: gate.plan,
    reason: options.reason,
  }));
}
