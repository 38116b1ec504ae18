import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RewindError } from '../errors/rewind-error.ts';
import { isAlive, processIdentity } from '../process/process-identity.ts';
import { findOnPath } from '../process/program-path.ts';
import { addressOf } from '../redis/connection.ts';
import { beginStart, endStart, findBegun } from './begun-start.ts';
import { wasKilledForMemory } from './kernel-log.ts';
import { endWith } from './last-save.ts';
import { askLoadState } from './loading-progress.ts';
import { lastLogLines, logLength, reasonIn } from './log-words.ts';
import { changeRecord, type ProcessRecord, readRecord, recordSettled } from './process-record.ts';
import type { HostService, LastExit, ServiceState, ServiceSurroundings } from './service.ts';
import { waitLoaded } from './wait-loaded.ts';

const exitLines = 20;
const pollMs = 100;
/** A last save of a large server takes its time; what it is told meanwhile it has heard. */
const stopPatienceMs = 10 * 60_000;

/**
 * A redis-server that the agent starts itself, as a process of its own session: it outlives the agent, and the next agent
 * finds it by its record in `home/server/<instance>/`. A process that this record does not name is never touched.
 */
export function processService(
  { args }: { readonly args: readonly string[] },
  around: ServiceSurroundings,
): HostService {
  const folder = join(around.home, 'server', around.instance);
  const recordPath = join(folder, 'process.json');
  const logFile = join(folder, 'redis.log');

  const runs = ({ pid, identity, exit }: ProcessRecord): boolean => exit === undefined && isAlive(pid, identity);

  /** An agent that was killed between starting a server and recording it left a start that is only begun. */
  const recorded = async (): Promise<ProcessRecord | undefined> => {
    const begun = await findBegun(logFile);
    if (begun !== undefined) {
      await changeRecord(recordPath, (now) =>
        now?.pid === begun.pid && now.identity === begun.identity ? now : begun,
      );
      await endStart(logFile);
    }
    return readRecord(recordPath);
  };

  const lines = async (since: number): Promise<string[]> => {
    const own = await lastLogLines(logFile, exitLines, since);
    const configured = around.logFile ? await lastLogLines(around.logFile, exitLines) : [];
    return [...configured, ...own].slice(-exitLines);
  };

  const refuseStranger = async (toDo: string): Promise<void> => {
    if ((await askLoadState(around.target)).state === 'silent') return;
    throw new RewindError(
      'HOST_SERVER_NOT_OURS',
      `A Redis answers at ${addressOf(around.target)} that this agent did not start: it will not ${toDo}.`,
    );
  };

  const spawnServer = async (replicaOf?: string): Promise<ProcessRecord> => {
    const program = around.redisServerPath && findOnPath(around.redisServerPath, process.env.PATH);
    if (!program) {
      throw new RewindError('PROGRAM_NOT_FOUND', `no program ${around.redisServerPath ?? 'redis-server'} to start`);
    }
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const logFrom = await logLength(logFile);
    await beginStart(logFile, logFrom);
    const output = openSync(logFile, 'a', 0o600);
    // A server that goes to the background is nobody's child: its pid and its end would be known to nobody.
    const child = spawn(program, [...args, '--daemonize', 'no', ...asReplica(replicaOf)], {
      detached: true,
      cwd: folder,
      stdio: ['ignore', output, output],
    });
    closeSync(output);
    await new Promise<void>((settle, fail) => {
      child.once('spawn', settle);
      child.once('error', (cause) =>
        fail(new RewindError('PROGRAM_NOT_STARTED', `${program}: ${cause.message}`, { cause })),
      );
    });
    child.unref();
    const pid = child.pid as number;
    const record: ProcessRecord = {
      pid,
      identity: processIdentity(pid),
      startedAt: new Date().toISOString(),
      logFrom,
    };
    await changeRecord(recordPath, () => record);
    await endStart(logFile);
    const noteExit = (code: number | null, signal: NodeJS.Signals | null): void => {
      const exit = { code, signal, at: new Date().toISOString() };
      const isItsOwn = (now: ProcessRecord | undefined) => now?.pid === pid && now.identity === record.identity;
      changeRecord(recordPath, (now) => (now && isItsOwn(now) ? { ...now, exit } : undefined)).catch(() => undefined);
    };
    if (child.exitCode !== null || child.signalCode !== null) noteExit(child.exitCode, child.signalCode);
    else child.once('exit', noteExit);
    return record;
  };

  return {
    describe: `redis-server ${args.join(' ')}`,
    async state(): Promise<ServiceState> {
      const record = await recorded();
      if (record === undefined) return 'stopped';
      if (runs(record)) return 'running';
      if (record.told) return 'stopped';
      // Redis ends with 0 when somebody else told it to (SHUTDOWN, SIGTERM).
      return record.exit?.code === 0 ? 'stopped' : 'failed';
    },
    async start(io, how) {
      let record = await recorded();
      if (record === undefined || !runs(record)) {
        await refuseStranger('start a second one');
        record = await spawnServer(how?.replicaOf);
      }
      const { pid, identity, logFrom } = record;
      const lastWords = async () => reasonIn(await lines(logFrom));
      const ended = async () =>
        isAlive(pid, identity) ? undefined : ((await lastWords()) ?? 'it left no word in its log');
      await waitLoaded(around.target, { ended, lastWords, silentMs: around.silentMs }, io);
    },
    async stop(io, options) {
      const record = await recorded();
      if (record === undefined || !runs(record)) return refuseStranger('stop it');
      await endWith(options?.lastSave ?? 'as-configured', around.target, async () => {
        await changeRecord(recordPath, (now) => now && { ...now, told: true });
        const since = await logLength(logFile);
        // Between the look and the signal the pid could only have been taken by a process started in that moment.
        if (isAlive(record.pid, record.identity)) process.kill(record.pid, 'SIGTERM');
        for (const deadline = performance.now() + stopPatienceMs; isAlive(record.pid, record.identity); ) {
          const words = (await lines(since)).find((line) => /can't exit|Errors trying to shut down/i.test(line));
          if (words !== undefined || performance.now() > deadline) {
            throw new RewindError(
              'HOST_SERVER_NOT_STOPPED',
              `Redis (pid ${record.pid}) was told to end and still runs${words ? `: ${words}` : ''}.`,
            );
          }
          await sleep(pollMs, undefined, { signal: io.signal });
        }
      });
    },
    async lastExit(): Promise<LastExit | undefined> {
      await recordSettled(recordPath);
      const record = await readRecord(recordPath);
      if (record === undefined || runs(record)) return undefined;
      const { exit } = record;
      const oomKilled = exit?.signal === 'SIGTERM' ? false : await wasKilledForMemory(record.pid);
      return {
        ...(typeof exit?.code === 'number' ? { code: exit.code } : {}),
        ...(exit?.signal ? { signal: exit.signal } : {}),
        ...(oomKilled === undefined ? {} : { oomKilled }),
        ...(exit ? { at: exit.at } : {}),
        lines: await lines(record.logFrom),
      };
    },
  };
}

/** `--replicaof host port`; an IPv6 address has colons of its own. */
function asReplica(primary: string | undefined): string[] {
  if (primary === undefined) return [];
  const colon = primary.lastIndexOf(':');
  return ['--replicaof', primary.slice(0, colon).replace(/^\[|\]$/g, ''), primary.slice(colon + 1)];
}
