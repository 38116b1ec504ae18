import type { DeathTraces, KernelLine, LastExit } from './death-traces.ts';
import { exitSentence, signalOf } from './exit-words.ts';
import { endsInLog, type LogFinding } from './log-findings.ts';
import { type LogLife, logLives } from './log-lives.ts';

export type DeathCause =
  | 'killed-for-memory'
  | 'killed'
  | 'crashed'
  | 'out-of-memory'
  | 'shut-down'
  | 'disk-full'
  | 'load-failed'
  | 'start-failed'
  | 'unknown';

/** Why a server died, in words. Sentences are made from known phrases and figures: no name of a key, no quoted text. */
export interface DeathExplanation {
  readonly cause: DeathCause;
  /** `shown`: a log or the exit says so itself; `likely`: it fits what was found; `unknown`. */
  readonly certainty: 'shown' | 'likely' | 'unknown';
  /** The first says the cause; then what else was found. */
  readonly sentences: readonly string[];
  /** What could not be looked at, or does not show. */
  readonly unknown: readonly string[];
  readonly diedAt?: { readonly at: string; readonly source: string };
  readonly lastSeenAlive?: { readonly at: string; readonly source: string };
  /** Starts after the death that did not get as far as serving. */
  readonly failedStarts: number;
}

/** Below that a save or an AOF write fails soon, whatever the size of the disk. */
const DISK_LEFT_BYTES = 16 * 1024 * 1024;

interface Reading {
  readonly cause: DeathCause;
  readonly certainty: DeathExplanation['certainty'];
  readonly sentence: string;
  readonly at?: { readonly at: string; readonly source: string };
}

/** Puts exit, kernel log, control group, disk and Redis' own log together. */
export function explainDeath(traces: DeathTraces): DeathExplanation {
  const lives = traces.logTail === undefined ? [] : logLives(traces.logTail);
  const died = lives.findLast(({ served }) => served);
  const later = died ? lives.slice(lives.indexOf(died) + 1) : lives;
  const findings = died ? endsInLog(died) : [];
  const laterFindings = later.flatMap(endsInLog);
  const pids = [traces.lastExit?.pid, ...lives.map(({ pid }) => pid)].filter((pid) => pid !== undefined);
  const reading =
    fromKernel(traces.kernel ?? [], pids) ??
    fromSupervisor(traces.lastExit) ??
    fromLog(findings) ??
    fromLog(laterFindings) ??
    fromExit(traces) ??
    fromDisk(traces) ??
    nothingShown(traces);
  const also = [...findings, ...laterFindings]
    .map(({ sentence }) => sentence)
    .filter((each) => each !== reading.sentence);
  return {
    cause: reading.cause,
    certainty: reading.certainty,
    sentences: [
      reading.sentence,
      ...new Set([...exitSentence(traces.lastExit), ...also, ...diskSentence(traces), ...startsSentence(later, died)]),
    ].filter((each, index, all) => all.indexOf(each) === index),
    unknown: unknownOf(traces, reading),
    ...diedAt(traces, reading),
    ...lastSeen(died),
    failedStarts: died ? later.length : Math.max(0, later.length - 1),
  };
}

/** `Out of memory: Killed process 28 (redis-server) total-vm:…kB, anon-rss:…kB`, also of a memory control group. */
const OOM =
  /(Memory cgroup out of memory|Out of memory)[^:]*: Kill(?:ed)? process (\d+) \(([^)]*)\)(?:.*anon-rss:(\d+)kB)?/i;

function fromKernel(lines: readonly KernelLine[], pids: readonly number[]): Reading | undefined {
  const killed = lines
    .map(({ at, text }) => ({ at, found: OOM.exec(text) }))
    .filter(
      ({ found }) => found && (pids.length > 0 ? pids.includes(Number(found[2])) : /redis|valkey/.test(found[3]!)),
    )
    .at(-1);
  if (!killed?.found) return undefined;
  const [, scope, pid, , rss] = killed.found;
  const limit = scope?.startsWith('Memory') ? ' because its control group was at its memory limit' : '';
  const size = rss === undefined ? '' : ` It held ${Math.round(Number(rss) / 1024)} MiB.`;
  return {
    cause: 'killed-for-memory',
    certainty: 'shown',
    sentence: `The kernel's out-of-memory killer killed it (process ${pid})${limit}.${size}`,
    ...(killed.at === undefined ? {} : { at: { at: new Date(killed.at).toISOString(), source: "the kernel's log" } }),
  };
}

function fromSupervisor(lastExit: LastExit | undefined): Reading | undefined {
  if (!lastExit?.oomKilled) return undefined;
  return {
    cause: 'killed-for-memory',
    certainty: 'shown',
    sentence: "The kernel's out-of-memory killer killed it, as its supervisor says.",
  };
}

function fromLog(findings: readonly LogFinding[]): Reading | undefined {
  const decisive = findings.find(({ cause }) => cause !== undefined);
  if (!decisive?.cause) return undefined;
  const { cause, sentence, at } = decisive;
  return {
    cause,
    certainty: 'shown',
    sentence,
    ...(at === undefined ? {} : { at: { at: new Date(at).toISOString(), source: "Redis' log" } }),
  };
}

function fromExit({ lastExit, oomKills, kernel }: DeathTraces): Reading | undefined {
  const signal = signalOf(lastExit);
  if (signal === 'SIGKILL' && oomKills) {
    return {
      cause: 'killed-for-memory',
      certainty: 'likely',
      sentence: `It was ended by SIGKILL, and its control group counts ${oomKills} kills for memory.`,
    };
  }
  if (signal === 'SIGKILL') {
    const kernelSays = kernel === undefined ? '' : "; the kernel's log shows no kill for memory";
    return {
      cause: 'killed',
      certainty: 'shown',
      sentence: `It was ended by SIGKILL: by a person, a supervisor or the kernel${kernelSays}. Who sent it is not known.`,
    };
  }
  if (
    signal === 'SIGSEGV' ||
    signal === 'SIGABRT' ||
    signal === 'SIGBUS' ||
    signal === 'SIGFPE' ||
    signal === 'SIGILL'
  ) {
    return { cause: 'crashed', certainty: 'shown', sentence: `It crashed: ended by ${signal}.` };
  }
  if (signal) return { cause: 'killed', certainty: 'shown', sentence: `It was ended by ${signal}.` };
  if (lastExit?.code === 0) {
    return {
      cause: 'shut-down',
      certainty: 'likely',
      sentence: 'It ended by itself with exit code 0: it was shut down.',
    };
  }
  return undefined;
}

function fromDisk({ disk }: DeathTraces): Reading | undefined {
  if (!disk || disk.freeBytes > DISK_LEFT_BYTES) return undefined;
  return {
    cause: 'disk-full',
    certainty: 'likely',
    sentence: `The disk of its data is full: ${disk.freeBytes} bytes are free.`,
  };
}

function nothingShown({ lastExit, logTail }: DeathTraces): Reading {
  const code = lastExit?.code ? `It ended with exit code ${lastExit.code}. ` : '';
  const log =
    logTail === undefined
      ? ''
      : ' Its log ends without a word about it, as after a SIGKILL or when the machine went down.';
  return { cause: 'unknown', certainty: 'unknown', sentence: `${code}Why it died is not known.${log}` };
}

function diskSentence({ disk }: DeathTraces): string[] {
  if (!disk || disk.freeBytes > DISK_LEFT_BYTES) return [];
  return [
    `The disk of its data has ${disk.freeBytes} bytes left: saves and the append-only file fail until there is room.`,
  ];
}

function startsSentence(later: readonly LogLife[], died: LogLife | undefined): string[] {
  if (!died || later.length === 0) return [];
  return [
    `Since then it was started ${later.length === 1 ? 'once' : `${later.length} times`} and did not get as far as serving.`,
  ];
}

function unknownOf(traces: DeathTraces, reading: Reading): string[] {
  return [
    ...(traces.lastExit ? [] : ['how its process ended: no exit code or signal was kept']),
    ...(traces.logTail === undefined ? [`what it logged: ${traces.noLog ?? 'there is no log'}`] : []),
    ...(traces.kernel === undefined && reading.cause !== 'shut-down'
      ? [`whether the kernel killed it for memory: ${traces.noKernel ?? "the kernel's log was not read"}`]
      : []),
    ...(reading.cause === 'killed' ? ['who sent the signal'] : []),
  ];
}

function diedAt({ lastExit }: DeathTraces, { at }: Reading): Pick<DeathExplanation, 'diedAt'> {
  if (lastExit?.at) return { diedAt: { at: lastExit.at, source: 'the end of its process' } };
  return at ? { diedAt: at } : {};
}

function lastSeen(died: LogLife | undefined): Pick<DeathExplanation, 'lastSeenAlive'> {
  const at = died?.lines.findLast(({ at }) => at !== undefined)?.at;
  return at === undefined
    ? {}
    : { lastSeenAlive: { at: new Date(at).toISOString(), source: "the last line of Redis' log" } };
}
