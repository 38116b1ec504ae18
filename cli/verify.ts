import { RewindError } from '../errors/rewind-error.ts';
import { policyOf } from '../policy/instance-policy.ts';
import { connectClient } from '../workers/temporal-connection.ts';
import { effectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';
import { runWorkflow, sentenceOfBackup, timedId } from './run-workflow.ts';

/** Proves a backup by loading it in the sandbox, or the archive by its chain and a replay. */
export async function verify(
  context: CliContext,
  options: { readonly archive?: boolean },
  instance: string,
  backup?: string,
): Promise<ExitCode> {
  if (options.archive) return (await import('./verify-archive.ts')).verifyArchive(context, instance);
  if (backup === undefined) {
    throw new RewindError('RESTORE_INPUT_INVALID', 'Name a backup, or say --archive.', {
      next: `rewind backups ${instance}`,
    });
  }
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
