import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, open, readFile, statfs } from 'node:fs/promises';
import { uptime } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** How the service's process ended, as its parent or systemd tells (what `HostService.lastExit` answers fits). */
export interface LastExit {
  readonly code?: number | null;
  readonly signal?: string | null;
  /** The kernel says that it ended it for want of memory. */
  readonly oomKilled?: boolean;
  readonly pid?: number;
  /** ISO 8601. */
  readonly at?: string;
}

/** A line of the kernel's log. */
export interface KernelLine {
  /** Unix ms. */
  readonly at?: number;
  readonly text: string;
}

/** What a dead process left behind. Holds raw text of logs: it stays in the agent, only sentences leave it. */
export interface DeathTraces {
  readonly lastExit?: LastExit;
  readonly logTail?: string;
  /** Why there is no log to read. */
  readonly noLog?: string;
  readonly kernel?: readonly KernelLine[];
  readonly noKernel?: string;
  /** `oom_kill` of memory.events of the service's control group. */
  readonly oomKills?: number;
  readonly disk?: { readonly freeBytes: number; readonly totalBytes: number; readonly freeFiles?: number };
}

export interface TracesAsked {
  readonly lastExit?: LastExit;
  /** Absolute path of Redis' log. */
  readonly logFile?: string;
  /** Folder of the dump: its disk is looked at. */
  readonly dir?: string;
  /** systemd unit, whose control group is asked for kills. */
  readonly unit?: string;
}

/** A crash report with its stack and registers fits; what led to it, too. */
const TAIL_BYTES = 512 * 1024;
const KERNEL_RECORDS = 20_000;
const KERNEL_TEXT_BYTES = 8 * 1024 * 1024;

const run = promisify(execFile);

/** Gathers what can be read; what cannot is named. Reads only. */
export async function readDeathTraces({ lastExit, logFile, dir, unit }: TracesAsked): Promise<DeathTraces> {
  const [log, kernel, oomKills, disk] = await Promise.all([
    logFile === undefined ? { noLog: 'no log file is configured' } : tailOf(logFile),
    kernelLog(),
    oomKillsOf(unit),
    dir === undefined ? undefined : diskOf(dir),
  ]);
  return {
    ...(lastExit ? { lastExit } : {}),
    ...log,
    ...kernel,
    ...(oomKills === undefined ? {} : { oomKills }),
    ...(disk ? { disk } : {}),
  };
}

async function tailOf(path: string): Promise<Pick<DeathTraces, 'logTail' | 'noLog'>> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'r');
    const { size } = await file.stat();
    const length = Math.min(size, TAIL_BYTES);
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(length), position: size - length });
    const text = buffer.subarray(0, bytesRead).toString('utf8');
    return { logTail: length < size ? text.slice(text.indexOf('\n') + 1) : text };
  } catch (error) {
    return { noLog: `Redis' log cannot be read (${(error as NodeJS.ErrnoException).code})` };
  } finally {
    await file?.close();
  }
}

/** The kernel's ring buffer where we may read it, else the journal's copy. */
async function kernelLog(): Promise<Pick<DeathTraces, 'kernel' | 'noKernel'>> {
  const records = await kmsg().catch(() => undefined);
  if (records) return { kernel: records };
  try {
    const { stdout } = await run('journalctl', ['-k', '-n', '5000', '-o', 'short-unix', '--no-pager', '-q'], {
      timeout: 5_000,
      maxBuffer: KERNEL_TEXT_BYTES,
    });
    if (stdout.trim() === '') return { noKernel: "the kernel's log is empty or may not be read" };
    return { kernel: stdout.split('\n').map(journalLine) };
  } catch {
    return { noKernel: "the kernel's log may not be read" };
  }
}

function journalLine(line: string): KernelLine {
  const [, seconds, text] = /^(\d+\.\d+) \S+ kernel: (.*)$/.exec(line) ?? [];
  return seconds === undefined ? { text: line } : { at: Number(seconds) * 1000, text: text! };
}

/** @see https://www.kernel.org/doc/Documentation/ABI/testing/dev-kmsg: one record a read, EAGAIN at the end */
async function kmsg(): Promise<KernelLine[]> {
  const file = await open('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK);
  const bootedAt = Date.now() - uptime() * 1000;
  const lines: KernelLine[] = [];
  try {
    const buffer = Buffer.alloc(16 * 1024);
    for (let record = 0; record < KERNEL_RECORDS; record += 1) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null).catch(passOver);
      if (bytesRead === 0) break;
      if (bytesRead > 0) lines.push(...kmsgLine(buffer.toString('utf8', 0, bytesRead), bootedAt));
    }
  } finally {
    await file.close();
  }
  return lines;
}

/** EPIPE: a record was overwritten while we read; EAGAIN: that was the last one. */
function passOver(error: NodeJS.ErrnoException): { bytesRead: number } {
  if (error.code === 'EPIPE') return { bytesRead: -1 };
  if (error.code === 'EAGAIN') return { bytesRead: 0 };
  throw error;
}

/** `6,339,5140900,-;text` with the time in microseconds since boot. */
export function kmsgLine(record: string, bootedAt: number): KernelLine[] {
  const [, microseconds, text] = /^\d+,\d+,(\d+),[^;]*;([^\n]*)/.exec(record) ?? [];
  return microseconds === undefined ? [] : [{ at: bootedAt + Number(microseconds) / 1000, text: text! }];
}

/** Version 2 of control groups; in a container its own group is the root. */
async function oomKillsOf(unit: string | undefined): Promise<number | undefined> {
  const name = unit === undefined || unit.includes('.') ? unit : `${unit}.service`;
  const folders = [...(name ? [join('/sys/fs/cgroup/system.slice', name)] : []), '/sys/fs/cgroup'];
  for (const folder of folders) {
    const text = await readFile(join(folder, 'memory.events'), 'utf8').catch(() => undefined);
    const kills = text === undefined ? undefined : oomKillsIn(text);
    if (kills !== undefined) return kills;
  }
  return undefined;
}

/** @see https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.events) */
export function oomKillsIn(memoryEvents: string): number | undefined {
  const kills = /^oom_kill (\d+)$/m.exec(memoryEvents)?.[1];
  return kills === undefined ? undefined : Number(kills);
}

async function diskOf(dir: string): Promise<DeathTraces['disk']> {
  const found = await statfs(dir).catch(() => undefined);
  return (
    found && { freeBytes: found.bavail * found.bsize, totalBytes: found.blocks * found.bsize, freeFiles: found.ffree }
  );
}
