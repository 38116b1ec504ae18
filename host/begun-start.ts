import { mkdir, readdir, readFile, readlink, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { processIdentity } from '../process/process-identity.ts';
import type { ProcessRecord } from './process-record.ts';

/** A start that is begun: written before there is a process, so that none of ours is ever taken for a stranger's. */
interface BegunStart {
  readonly startedAt: string;
  readonly logFrom: number;
  /** Identities of what wrote to the log before: a save that has outlived its server is no server. */
  readonly before: readonly string[];
}

const begunPath = (logFile: string): string => join(dirname(logFile), 'start.json');

/** @param logFile what only servers that the agent starts have as their standard output */
export async function beginStart(logFile: string, logFrom: number): Promise<void> {
  const before = (await writersOf(logFile)).map(({ identity }) => identity);
  const begun: BegunStart = { startedAt: new Date().toISOString(), logFrom, before };
  const path = begunPath(logFile);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.part`, JSON.stringify(begun), { mode: 0o600 });
  await rename(`${path}.part`, path);
}

/** The server has its record. */
export const endStart = (logFile: string): Promise<void> => rm(begunPath(logFile), { force: true });

/**
 * The server of a start that nobody was left to record, by its standard output: its environment would tell, too, but a
 * server writes its title over it. Needs Linux' /proc; elsewhere such a server is left alone as any stranger's.
 */
export async function findBegun(logFile: string): Promise<ProcessRecord | undefined> {
  const begun = await readBegun(begunPath(logFile));
  if (begun === undefined) return undefined;
  const writers = await writersOf(logFile);
  for (const { pid, identity } of writers) {
    const parent = await parentOf(pid);
    // The child of a save has its server's output.
    if (begun.before.includes(identity) || writers.some((other) => other.pid === parent)) continue;
    return { pid, identity, startedAt: begun.startedAt, logFrom: begun.logFrom };
  }
  return undefined;
}

async function readBegun(path: string): Promise<BegunStart | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as BegunStart;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function writersOf(logFile: string): Promise<{ pid: number; identity: string }[]> {
  const path = await realpath(logFile).catch(() => undefined);
  if (path === undefined) return [];
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name)).map(Number);
  const found: { pid: number; identity: string }[] = [];
  for (const pid of pids) {
    if ((await readlink(`/proc/${pid}/fd/1`).catch(() => undefined)) !== path) continue;
    const identity = processIdentity(pid);
    if (identity !== undefined) found.push({ pid, identity });
  }
  return found;
}

async function parentOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  // proc_pid_stat(5): behind the name in brackets stand the state and the parent.
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}
