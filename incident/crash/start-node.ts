import { join } from 'node:path';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import { runCommand } from '../../host/run-command.ts';
import { waitLoaded } from '../../host/wait-loaded.ts';
import { foundPart } from '../../process/found-parts.ts';
import type { StepIO } from '../../process/step-io.ts';
import { addressOf, withRedis } from '../../redis/connection.ts';
import { keysOf, readInfo, serverVersion } from '../../redis/info.ts';
import { listBackups } from '../../repository/catalogue.ts';
import {
  type ReplacedFiles,
  recoverReplacement,
  replacedBy,
  replaceServerFiles,
} from '../../restore/files/replace-files.ts';
import { whatIsLoaded } from '../../restore/files/what-is-loaded.ts';
import { findServers } from '../../sandbox/servers.ts';
import { serviceBeside, settingsBeside } from './crash-site.ts';

export interface StartedNode {
  /** What it was started by, for a person. */
  readonly by: string;
  /** What it has loaded, a sentence. */
  readonly loaded: string;
  readonly keys: number;
}

/** Of whoever writes the files: a form that the server reads. */
export type ServerVersion = { readonly name: 'redis' | 'valkey'; readonly version: string };

/**
 * Starts the server beside this agent and waits until it has loaded. Where the configuration does not say how, a person
 * starts it, and here it is waited for.
 *
 * @param how.mayBeEmpty a person has said that it may start without data
 * @param how.replicaOf host:port that it follows from its first moment, where its service takes arguments; elsewhere it is
 *   a primary until it is told
 * @throws CRASH_WOULD_START_EMPTY before anything is started; HOST_*
 */
export async function startNode(
  context: InstanceContext,
  server: ServerVersion,
  { mayBeEmpty, replicaOf }: { readonly mayBeEmpty: boolean; readonly replicaOf?: string },
  io: StepIO,
): Promise<StartedNode> {
  const settings = await settingsBeside(context);
  let loaded = 'It is not known where its files are.';
  if (settings) {
    await recoverReplacement(settings.dir);
    const will = await whatIsLoaded(settings, server);
    loaded = will.why;
    if (will.from === 'nothing' && !mayBeEmpty) throw new RewindError('CRASH_WOULD_START_EMPTY', will.why);
  }
  const service = serviceBeside(context, settings?.logFile);
  if (service) await service.start(io, { replicaOf });
  else await startedByHand(context, io);
  const keys = await withRedis(context.target, async (redis) => keysOf(await readInfo(redis, 'keyspace')));
  return { by: service?.describe ?? 'a person', loaded, keys };
}

/** Gives the stopped server beside this agent the dump to start on; its own files are moved aside, never deleted. */
export async function placeDump(
  context: InstanceContext,
  dump: { readonly path: string; readonly sha256?: string; readonly restoreId: string },
  server: ServerVersion,
  io: StepIO,
): Promise<ReplacedFiles> {
  const settings = await settingsBeside(context);
  if (!settings) {
    const message = `It is not known where ${context.policy.instance} keeps its files.`;
    throw new RewindError('CRASH_FILES_UNKNOWN', message);
  }
  const service = serviceBeside(context, settings.logFile);
  const isRunning = async () => (service ? (await service.state()) === 'running' : isAnswering(context));
  // Begun again after a later step failed: it runs on these very files, and what it took since is in its memory.
  const there = (await isRunning()) ? await replacedBy(settings.dir, dump.restoreId) : undefined;
  if (there) return there;
  // Its memory is worth less than the files that replace it: a last save would write over them.
  await service?.stop(io, { lastSave: 'never' });
  return replaceServerFiles(
    {
      dumpPath: dump.path,
      sha256: dump.sha256,
      restoreId: dump.restoreId,
      dir: settings.dir,
      aof: settings.appendonly,
      server,
      dbfilename: settings.dbfilename,
      appendfilename: settings.appendfilename,
      appenddirname: settings.appenddirname,
      isRunning,
    },
    io,
  );
}

/** Runs the command that fills caches again. @returns false where none is configured */
export async function warmUp({ host }: InstanceContext, io: StepIO): Promise<boolean> {
  if (!host?.warmUp) return false;
  await runCommand(host.warmUp, io.signal);
  return true;
}

async function startedByHand(context: InstanceContext, io: StepIO): Promise<void> {
  if (!(await isAnswering(context))) {
    throw new RewindError(
      'HOST_NO_SERVICE',
      `Redis at ${addressOf(context.target)} does not run, and host.service does not say how the agent starts it.`,
    );
  }
  await waitLoaded(context.target, {}, io);
}

async function isAnswering({ target }: InstanceContext): Promise<boolean> {
  return withRedis(target, async () => true).catch(
    (error) => !(error instanceof RewindError && error.code === 'REDIS_UNREACHABLE'),
  );
}

/**
 * Who reads the files beside this agent: the server as it answers, else the one that wrote the newest backup, else the
 * program that the agent itself would start.
 */
export async function versionBeside({ target, repository, policy }: InstanceContext): Promise<ServerVersion> {
  const live = await withRedis(target, async (redis) => serverVersion(await readInfo(redis, 'server'))).catch(
    () => undefined,
  );
  if (live) return live;
  for (const { manifest } of await listBackups(repository, policy.instance)) {
    if (manifest) return { name: manifest.server.name, version: manifest.server.version };
  }
  const [program] = await findServers([foundPart('redis').path]);
  return program as ServerVersion;
}

/** Where a dump that comes from another server is put until it is placed. */
export const receivedDumpPath = (folder: string): string => join(folder, 'received.rdb');
