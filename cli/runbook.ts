import { policyOf } from '../policy/instance-policy.ts';
import { connectClient } from '../workers/temporal-connection.ts';
import type { RunbookResult } from '../workflows/runbook-result.ts';
import { effectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';
import { runWorkflow } from './run-workflow.ts';
import { wrap } from './wrap.ts';

/** The incident runbooks by the names that people type, with the workflow behind each. */
export const runbooks = {
  'node-crash': 'recoverNodeCrash',
  'data-corruption': 'recoverDataCorruption',
  'accidental-flush': 'recoverAccidentalFlush',
} as const;

export interface RunbookOptions {
  readonly to?: string;
  readonly fence?: boolean;
  readonly onConflict?: string;
  readonly into?: string;
}

/** Starts an incident runbook, or follows the one that runs for this instance already. */
export async function runbook(
  context: CliContext,
  { to, fence, onConflict, into }: RunbookOptions,
  kind: string,
  instance: string,
): Promise<ExitCode> {
  const { config, temporal } = await effectiveConfig(context);
  policyOf(config, instance);
  const client = await connectClient(temporal);
  try {
    const given = { to, onConflict, into, fence: fence === false ? false : undefined };
    const result = await runWorkflow<RunbookResult>(client, context, {
      type: runbooks[kind as keyof typeof runbooks],
      workflowId: `${kind}/${instance}`,
      summary: `${kind} of ${instance}`,
      input: { instance, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) },
    });
    // A program finds a sentence in one line.
    const sentences = process.stdout.isTTY ? result.sentences.map((each) => wrap(each, 0, 2)) : result.sentences;
    context.output.answer([...sentences, ...(result.report ? [`report: ${result.report}`] : [])].join('\n'), result);
    return result.recovered ? 0 : 3;
  } finally {
    await client.connection.close();
  }
}
