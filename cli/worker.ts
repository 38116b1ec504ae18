import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Worker } from '@temporalio/worker';
import { endKeptStreams } from '../archive/stream/follow-stream.ts';
import { instancesInForce } from '../policy/instance-policy.ts';
import { endWithParent } from '../process/parent-watch.ts';
import { hostWorker } from '../workers/host.ts';
import { orchestratorWorker } from '../workers/orchestrator.ts';
import { registerSearchAttributes } from '../workers/register-search-attributes.ts';
import type { Role, RoleSettings } from '../workers/role.ts';
import { sandboxWorker } from '../workers/sandbox.ts';
import { connectClient, connectWorker } from '../workers/temporal-connection.ts';
import { effectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';
import { provideParts } from './provide-parts.ts';

/** A worker outlives a restart of Temporal, but does not wait for ever at its own start, in milliseconds. */
const TEMPORAL_PATIENCE_MS = 10 * 60_000;

/** Runs one role until it is told to end. Started by `up`, it ends with it. */
export async function worker(context: CliContext, options: { role: Role; instance?: string[] }): Promise<ExitCode> {
  const { config, home: state, temporal } = await effectiveConfig(context);
  for (const sentence of config.notInForce) context.output.log(sentence);
  const home = join(state, options.role);
  await mkdir(home, { recursive: true, mode: 0o700 });
  // For what is started again and again (the reader of dumps, the leash): compiled code starts in a third of the time.
  process.env.NODE_COMPILE_CACHE ??= join(home, 'compile-cache');
  // From the first moment: a worker that still waits for Temporal ends with its parent, too.
  const orphaned = new AbortController();
  endWithParent(() => orphaned.abort(new Error('the parent ended')));
  const signal = AbortSignal.any([context.signal, orphaned.signal]);
  const patience = {
    withinMs: TEMPORAL_PATIENCE_MS,
    signal,
    onWait: (reason: string) => context.output.log(`${reason}; waiting`),
  };
  const { connection, namespace } = await connectWorker(temporal, patience);
  const client = await connectClient(temporal, patience);
  await registerSearchAttributes(client, patience);
  const settings: RoleSettings = { config, env: context.env, home, connection, namespace };
  const workers: Worker[] = [];
  if (options.role === 'orchestrator') workers.push(await orchestratorWorker(settings, client));
  if (options.role === 'sandbox') {
    if (!config.sandbox.servers) await provideParts(['redis']);
    workers.push(await sandboxWorker(settings));
  }
  if (options.role === 'host') {
    for (const instance of options.instance ?? instancesInForce(config)) {
      workers.push(await hostWorker(settings, instance));
    }
  }
  const end = () => {
    for (const one of workers) if (one.getState() === 'RUNNING') one.shutdown();
  };
  signal.addEventListener('abort', end, { once: true });
  const running = Promise.all(workers.map((one) => one.run()));
  context.output.log(`${options.role} polls ${workers.map((one) => one.options.taskQueue).join(', ')} of ${namespace}`);
  process.send?.('polling');
  await running;
  await endKeptStreams();
  await connection.close();
  await client.connection.close();
  return 0;
}
