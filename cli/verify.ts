import { policyOf } from '../policy/instance-policy.ts';
import { connectClient } from '../workers/temporal-connection.ts';
import { effectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';
import { runWorkflow, sentenceOfBackup, timedId } from './run-workflow.ts';

/** Proves a backup by loading it in the sandbox. */
export async function verify(
  context: CliContext,
  _options: object,
  instance: string,
  backup: string,
): Promise<ExitCode> {
  const { config, temporal } = await effectiveConfig(context);
  policyOf(config, instance);
  const client = await connectClient(temporal);
  try {
    const input = { instance, backup };
    const summary = `Proof of ${backup}`;
    const result = await runWorkflow(client, context, {
      type: 'verifyBackup',
      workflowId: timedId('verify', instance),
      summary,
      input,
    });
    context.output.answer(sentenceOfBackup(result.backup), result);
    return result.backup.state === 'verified' && !result.backup.flagged ? 0 : 3;
  } finally {
    await client.connection.close();
  }
}
