import { join } from 'node:path';
import type { PublishedBackup } from '../backup/publish.ts';
import { takeBackup } from '../backup/take-backup.ts';
import { policyOf } from '../policy/instance-policy.ts';
import { takeStateLock } from '../process/state-lock.ts';
import { openInstance } from '../workers/instance-context.ts';
import { sandboxSettings } from '../workers/sandbox.ts';
import { connectClient } from '../workers/temporal-connection.ts';
import { type EffectiveConfig, effectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';
import { progressView } from './progress-view.ts';
import { provideParts } from './provide-parts.ts';
import { backupOf, runWorkflow, sentenceOfBackup } from './run-workflow.ts';
import { wrap } from './wrap.ts';

export async function backup(
  context: CliContext,
  options: { withoutTemporal?: boolean },
  instance: string,
): Promise<ExitCode> {
  const effective = await effectiveConfig(context);
  policyOf(effective.config, instance);
  const taken = options.withoutTemporal
    ? await takeHere(context, effective, instance)
    : await takeByWorkflow(context, effective, instance);
  context.output.answer(sentenceOfBackup(taken), { instance, backup: taken });
  if (taken.state === 'failed') return 1;
  return taken.state === 'verified' && !taken.flagged ? 0 : 3;
}

async function takeByWorkflow(context: CliContext, { temporal }: EffectiveConfig, instance: string) {
  const client = await connectClient(temporal);
  try {
    return (await runWorkflow(client, context, backupOf(instance))).backup;
  } finally {
    await client.connection.close();
  }
}

/** The same steps in this process, for the day when Temporal itself is down. The lock holds on this machine only. */
async function takeHere(
  context: CliContext,
  { config, home }: EffectiveConfig,
  instance: string,
): Promise<PublishedBackup> {
  context.output.log(
    wrap('Without Temporal: nothing goes on by itself if this process ends, and nobody else is locked out.'),
  );
  if (!config.sandbox.servers) await provideParts(['redis']);
  const lock = await takeStateLock(join(home, 'without-temporal', instance));
  const view = progressView(instance, process.stderr);
  try {
    // The folder of the role that takes its backups, so that it is the same agent to the repository.
    const role = policyOf(config, instance).source === 'agent' ? 'host' : 'orchestrator';
    const instanceContext = await openInstance({ config, env: context.env, home: join(home, role) })({ instance });
    return await takeBackup(instanceContext, await sandboxSettings(config, join(home, 'sandbox')), {
      signal: context.signal,
      onProgress: (progress) => view.show(progress),
    });
  } finally {
    view.end();
    lock.release();
  }
}
