import { mkdir } from 'node:fs/promises';
import { instancesInForce } from '../policy/instance-policy.ts';
import { foundPart } from '../process/found-parts.ts';
import type { LeashedProcess } from '../process/leash.ts';
import { endWithParent } from '../process/parent-watch.ts';
import { takeStateLock } from '../process/state-lock.ts';
import { startTemporalDevServer } from '../process/temporal-dev-server.ts';
import { applyArchives, planArchives, wantedArchives } from '../schedules/archives.ts';
import { applySchedules, planSchedules } from '../schedules/reconcile.ts';
import { wantedSchedules } from '../schedules/wanted.ts';
import { connectClient } from '../workers/temporal-connection.ts';
import { countedArchives, countedInWords } from './counted-archives.ts';
import {
  DEMO,
  type EffectiveConfig,
  type EmbeddedParts,
  effectiveConfig,
  withEmbedded,
  writeEmbedded,
} from './effective-config.ts';
import { keepWorkerProcess } from './kept-worker.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';
import { provideParts } from './provide-parts.ts';
import { backupOf, runWorkflow, sentenceOfBackup } from './run-workflow.ts';
import { startDemoRedis } from './up/demo-redis.ts';
import { embeddedPorts } from './up/ports.ts';
import type { WorkerProcess } from './worker-processes.ts';

interface Running {
  readonly programs: LeashedProcess[];
  readonly workers: WorkerProcess[];
}

/** Brings up what the configuration leaves to us, backs up every instance once, and stays up. */
export async function up(context: CliContext, options: { once?: boolean }): Promise<ExitCode> {
  // What an earlier start wrote down of its own parts runs no more: taken for configured, none would be started.
  const before = await effectiveConfig(context, {});
  await mkdir(before.home, { recursive: true, mode: 0o700 });
  const lock = await takeStateLock(before.home);
  const running: Running = { programs: [], workers: [] };
  const stopped = new AbortController();
  const signal = AbortSignal.any([context.signal, stopped.signal]);
  endWithParent(() => stopped.abort(new Error('the parent ended')));
  try {
    for (const sentence of before.config.notInForce) context.output.log(sentence);
    const effective = await startParts(context, before, running, signal);
    await startRoles(context, effective, running);
    const client = await connectClient(effective.temporal, { withinMs: 30_000, signal });
    const { deployment } = effective.config;
    await applySchedules(
      client,
      deployment,
      await planSchedules(client, deployment, wantedSchedules(effective.config)),
    );
    const archives = wantedArchives(effective.config);
    const changes = await planArchives(client, deployment, archives);
    const counted = await countedArchives(context, effective.config, changes);
    for (const each of counted) context.output.log(`${countedInWords(each)} It is not begun; rewind apply --yes does.`);
    const meant = changes.filter(({ instance }) => !counted.some((each) => each.instance === instance));
    await applyArchives(client, deployment, archives, meant);

    let exit: ExitCode = 0;
    const backups = [];
    for (const instance of instancesInForce(effective.config)) {
      try {
        const result = await runWorkflow(client, { output: context.output, signal }, backupOf(instance));
        backups.push(result);
        if (result.backup.state !== 'verified') exit = 3;
        if (!context.output.json) context.output.answer(sentenceOfBackup(result.backup), result);
      } catch (error) {
        if (signal.aborted) throw error;
        context.output.error(error);
        exit = 1;
      }
    }
    if (context.output.json) context.output.answer('', { backups, ui: effective.embedded.temporal?.ui });
    else sayWhatNext(context, effective);
    if (options.once) return exit;
    context.output.log('Up. Backups go on by schedule; Ctrl-C stops everything that was started.');
    await Promise.race([untilAborted(signal), ...running.workers.map((worker) => unexpectedEnd(worker))]);
    return exit;
  } catch (error) {
    if (signal.aborted) return options.once ? 1 : 0;
    throw error;
  } finally {
    await Promise.all(running.workers.map((worker) => worker.stop()));
    for (const program of running.programs.reverse()) await program.stop();
    lock.release();
    // Else what waits for it would keep this process up when a worker was given up.
    stopped.abort(new Error('everything was stopped'));
  }
}

async function startParts(
  context: CliContext,
  { config, home }: EffectiveConfig,
  running: Running,
  signal: AbortSignal,
): Promise<EffectiveConfig> {
  const noInstance = Object.keys(config.instances).length === 0;
  const needsRedis = noInstance || !config.sandbox.servers;
  await provideParts([...(config.temporal ? [] : ['temporal']), ...(needsRedis ? ['redis'] : [])]);
  const ports = await embeddedPorts(home);
  let embedded: EmbeddedParts = {};
  if (!config.temporal) {
    context.output.log('Temporal: none is configured; a dev server is started here, its data in the state folder');
    const server = await startTemporalDevServer({
      executable: foundPart('temporal').path,
      folder: home,
      port: ports.temporal,
      uiPort: ports.temporalUi,
    });
    running.programs.push(server.program);
    embedded = {
      ...embedded,
      temporal: { address: server.address, namespace: server.namespace, ui: server.uiUrl ?? '' },
    };
  }
  if (noInstance) {
    context.output.log(`Redis: no instance is configured; one is started here with a small demo set, named ${DEMO}`);
    const demo = await startDemoRedis({ program: foundPart('redis').path, home, port: ports.demoRedis, signal });
    running.programs.push(demo.process);
    embedded = { ...embedded, demo: { url: demo.url } };
  }
  await writeEmbedded(home, embedded);
  return withEmbedded(config, home, embedded);
}

async function startRoles(context: CliContext, effective: EffectiveConfig, running: Running) {
  const env = { ...context.env, REWIND_HOME: effective.home };
  const args = effective.config.path ? ['--config', effective.config.path] : [];
  const roles = (['orchestrator', 'host', 'sandbox'] as const).map((role) =>
    keepWorkerProcess(role, { home: effective.home, args, env }, context.output.log),
  );
  const started = await Promise.allSettled(roles);
  // Those that run have to be known before the first that does not is told of: they are to be ended, too.
  for (const role of started) if (role.status === 'fulfilled') running.workers.push(role.value);
  for (const role of started) if (role.status === 'rejected') throw role.reason;
  context.output.log('Workers: orchestrator, host and sandbox run, each in a folder of its own');
}

function sayWhatNext(context: CliContext, { config, embedded }: EffectiveConfig): void {
  const [first = DEMO] = instancesInForce(config);
  if (embedded.temporal) {
    // The program that was started is the command line, too, and may be on nobody's PATH.
    context.output.log(`Temporal: ${foundPart('temporal').path} --address ${embedded.temporal.address}`);
    context.output.log(`Temporal UI: ${embedded.temporal.ui}`);
  }
  context.output.log(`next: npx rewind backups ${first}`);
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    // An open handle keeps the process up while it waits.
    const keep = setInterval(() => undefined, 60_000);
    signal.addEventListener('abort', () => {
      clearInterval(keep);
      resolve();
    });
  });
}

async function unexpectedEnd(worker: WorkerProcess): Promise<never> {
  const code = await worker.ended;
  throw new Error(
    `the ${worker.role} worker ended again and again, last with ${code ?? 'a signal'}; its log is in the state folder`,
  );
}
