import type { LogLife, LogLine } from './log-lives.ts';
import type { DeathCause } from './why-it-died.ts';

/** What one line of the log means. `cause` is absent for what was only in trouble, and did not end the process. */
export interface LogFinding {
  readonly cause?: DeathCause;
  readonly sentence: string;
  /** Unix ms. */
  readonly at?: number;
}

interface Phrase {
  readonly phrase: RegExp;
  readonly cause?: DeathCause;
  /** Made of the phrase's figures only. */
  readonly say: (found: RegExpExecArray) => string;
}

/** `: No space left on device` at a line's end: the system's words, which name nothing. */
const reason = (text: string): string => {
  const words = /: ([A-Z][A-Za-z ,'/-]{2,60})\.?$/.exec(text)?.[1];
  return words ? ` (${words})` : '';
};

const signalNames: Readonly<Record<string, string>> = {
  '4': 'SIGILL',
  '6': 'SIGABRT',
  '7': 'SIGBUS',
  '8': 'SIGFPE',
  '9': 'SIGKILL',
  '11': 'SIGSEGV',
  '15': 'SIGTERM',
};
const signalName = (number: string | undefined): string => signalNames[number ?? ''] ?? `signal ${number}`;

const NO_OVERCOMMIT = 'The machine does not overcommit memory: a fork for a save can fail (vm.overcommit_memory).';

/**
 * What Redis and Valkey write when they end or are in trouble (server.c, debug.c, rdb.c, aof.c, zmalloc's handler). The
 * first ones decide over those after them.
 */
const phrases: readonly Phrase[] = [
  {
    phrase: /Out Of Memory allocating (\d+) bytes/,
    cause: 'out-of-memory',
    say: ([, bytes]) => `It could get no more memory (${bytes} bytes were asked for) and ended itself.`,
  },
  {
    phrase: /Killed by PID: (\d+), UID: (\d+)/,
    cause: 'killed',
    say: ([, pid, uid]) => `Process ${pid} of user number ${uid} sent it the signal that ended it.`,
  },
  {
    phrase: /^(Redis|Valkey) (\S{1,20}) crashed by signal: (\d+)/i,
    cause: 'crashed',
    say: ([, name, version, signal]) =>
      `${name} ${version} crashed by ${signalName(signal)}; its crash report is in its log.`,
  },
  {
    phrase: /=== ASSERTION FAILED/,
    cause: 'crashed',
    say: () => 'It ended itself because an assertion in its code failed; its crash report is in its log.',
  },
  {
    phrase: /Wrong signature trying to load DB from file/,
    cause: 'load-failed',
    say: () => 'It refused its dump: the file does not begin as a dump (wrong signature).',
  },
  {
    phrase: /Can't handle RDB format version (\d+)/,
    cause: 'load-failed',
    say: ([, version]) => `It refused its dump: version ${version} of the format is newer than this server.`,
  },
  {
    phrase: /Can't handle foreign type or opcode (\d+) in RDB with version (\d+)/,
    cause: 'load-failed',
    say: ([, type, version]) => `It refused its dump: type ${type} in version ${version} of the format is not its own.`,
  },
  {
    phrase: /Wrong RDB checksum|RDB CRC error/,
    cause: 'load-failed',
    say: () => 'It refused its dump: the checksum does not fit the bytes.',
  },
  {
    phrase: /Short read or OOM loading DB/,
    cause: 'load-failed',
    say: () => 'It could not load its dump: the file ends too early, or memory ran out (short read).',
  },
  {
    phrase: /(?:Guru Meditation|Internal error in RDB reading offset (\d+))/,
    cause: 'load-failed',
    say: ([, offset]) => `It found its data file damaged${Number(offset) > 0 ? ` at byte ${offset}` : ''} and ended.`,
  },
  {
    phrase: /Bad file format reading the append only file/,
    cause: 'load-failed',
    say: () => 'It refused its append-only file: bad file format.',
  },
  {
    phrase: /Unexpected end of file reading the append only file/,
    cause: 'load-failed',
    say: () => 'It refused its append-only file: the file ends in the middle of a command.',
  },
  {
    phrase: /Unknown command .* reading the append only file/,
    cause: 'load-failed',
    say: () => 'It refused its append-only file: there is a command in it that this server does not know.',
  },
  {
    phrase:
      /Fatal error loading the DB|Error (?:opening|reading) the append only file|AOF .*(?:manifest|file) .*(?:not found|invalid|doesn't exist)/i,
    cause: 'load-failed',
    say: (found) => `It could not load its data and ended${reason(found.input)}.`,
  },
  {
    phrase: /Can't recover from AOF write error/,
    cause: 'disk-full',
    say: () => 'It could not write its append-only file, and ended itself because appendfsync is always.',
  },
  {
    phrase: /FATAL CONFIG FILE ERROR|Fatal error, can't open config file/,
    cause: 'start-failed',
    say: () => 'It refused its configuration file.',
  },
  {
    phrase: /Failed listening on port (\d+)|Could not create server TCP listening socket/,
    cause: 'start-failed',
    say: ([, port]) => `It could not listen on its port${port ? ` ${port}` : ''}: another process has it.`,
  },
  {
    phrase: /Received SIG(TERM|INT) scheduling shutdown|Received shutdown signal during loading/,
    cause: 'shut-down',
    say: ([, signal]) =>
      `It was shut down by ${signal ? `SIG${signal}` : 'a signal while it loaded its data'}: by a person, a supervisor or the machine's own shutdown.`,
  },
  {
    phrase: /User requested shutdown/,
    cause: 'shut-down',
    say: () => 'It was shut down: by the command SHUTDOWN or by a signal.',
  },
  {
    phrase: /Background saving terminated by signal (\d+)/,
    say: ([, signal]) =>
      `A background save was ended by ${signalName(signal)}${signal === '9' ? ', as the out-of-memory killer does' : ''}.`,
  },
  {
    phrase: /Can't save in background/,
    say: (found) => `It could not start a background save${reason(found.input)}.`,
  },
  {
    phrase:
      /Failed opening the (?:temp )?RDB file|Write error (?:saving DB|while saving DB)|Error moving temp DB file|Background saving error/,
    say: (found) => `Its saves failed${reason(found.input)}.`,
  },
  {
    phrase: /Error writing to the AOF file|AOF write error|Asynchronous AOF fsync is taking too long/,
    say: (found) => `It had trouble to write its append-only file${reason(found.input)}.`,
  },
  {
    phrase: /MISCONF/,
    say: () => 'It refused writes because its saves failed (MISCONF).',
  },
  {
    phrase: /overcommit_memory is set to 0|Memory overcommit must be enabled/,
    say: () => NO_OVERCOMMIT,
  },
];

/** Lines of a crash report that quote what a client sent: whatever stands in them, Redis did not say it. */
const ARGUMENTS = /^(?:client->)?argv\[|^id=\d+ addr=|^(?:key|val|cmd|name)\b/i;

/** What the log of one process says of its end, the decisive first; each sentence once, the latest time of it. */
export function endsInLog(life: LogLife): LogFinding[] {
  const found = new Map<string, LogFinding & { rank: number }>();
  for (const line of life.lines) {
    if (ARGUMENTS.test(line.text)) continue;
    for (const [rank, { phrase, cause, say }] of phrases.entries()) {
      const match = phrase.exec(line.text);
      if (!match) continue;
      const sentence = say(match);
      const at = line.at ?? atBefore(life.lines, line);
      found.set(sentence, { rank, sentence, ...(cause ? { cause } : {}), ...(at === undefined ? {} : { at }) });
      break;
    }
  }
  const forkFailed = life.lines.some(({ text }) => /Can't save in background: fork/.test(text));
  // Many a machine runs well without overcommit: the warning at the start matters where a fork failed.
  const sorted = [...found.values()]
    .filter(({ sentence }) => forkFailed || sentence !== NO_OVERCOMMIT)
    .sort((a, b) => a.rank - b.rank);
  return sorted.map(({ rank: _, ...finding }) => finding);
}

/** Lines of a crash report have no time: the last one before them has. */
function atBefore(lines: readonly LogLine[], line: LogLine): number | undefined {
  return lines.slice(0, lines.indexOf(line)).findLast(({ at }) => at !== undefined)?.at;
}
