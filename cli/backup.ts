import { policyOf } from '../policy/instance-policy.ts';
import { connectClient } from '../workers/temporal-connection.ts';
import { effectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';
import { runBackup, sentenceOfBackup } from './run-backup.ts';

export async function backup(
  context: CliContext,
  _options: { withoutTemporal?: boolean },
  instance: string,
): Promise<ExitCode> {
  const { config, temporal } = await effectiveConfig(context);
  policyOf(config, instance);
  const client = await connectClient(temporal);
  try {
    const result = await runBackup(client, instance, context.output, context.signal);
    context.output.answer(sentenceOfBackup(result.backup), result);
    return result.backup.state === 'verified' && !result.backup.flagged ? 0 : 3;
  } finally {
    await client.connection.close();
  }
}
