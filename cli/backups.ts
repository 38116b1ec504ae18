import { policyOf } from '../policy/instance-policy.ts';
import { listBackups } from '../repository/catalogue.ts';
import { openInstance } from '../workers/instance-context.ts';
import { effectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';

export async function backups(context: CliContext, options: { all?: boolean }, instance: string): Promise<ExitCode> {
  const { config, home } = await effectiveConfig(context);
  policyOf(config, instance);
  const { repository } = await openInstance({ config, env: context.env, home })({ instance });
  const entries = await listBackups(repository, instance);
  context.output.answer(JSON.stringify(entries, null, 2) + String(options.all ?? ''), { instance, backups: entries });
  return 0;
}
