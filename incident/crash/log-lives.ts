/** One line of Redis' log. */
export interface LogLine {
  readonly pid?: number;
  /** Unix ms; Redis writes local time: read by a process on the same machine. Absent for lines of a report. */
  readonly at?: number;
  readonly text: string;
}

/** What one process wrote between its start and its end. */
export interface LogLife {
  readonly pid?: number;
  readonly lines: readonly LogLine[];
  /** It served: it did not end while it loaded its data. */
  readonly served: boolean;
  /** False where the tail begins in the middle of it. */
  readonly fromStart: boolean;
}

/** Redis writes this first; what follows belongs to the new process. */
const STARTING = /oO0OoO0OoO0Oo (?:Redis|Valkey) is starting/i;
const SERVING = /Ready to accept connections|DB loaded from|Background saving|keys loaded:|Accepted /;

/** `1234:M 24 Nov 2026 18:51:39.573 * text`; Valkey may be told to write the time in other forms. */
const LINE = /^(\d+):([A-Z]) (.{1,40}?) ([.*#-]) (.*)$/;
const SIGNAL = /^(\d+):signal-handler \((\d+)\) (.*)$/;
const LOGFMT = /^pid=(\d+) .*?timestamp="([^"]*)".*?message="(.*)"$/;

/** Takes a log's tail apart by the processes that wrote it, in their order. */
export function logLives(tail: string): LogLife[] {
  const lives: { lines: LogLine[]; fromStart: boolean }[] = [{ lines: [], fromStart: false }];
  for (const raw of tail.split('\n')) {
    if (raw === '') continue;
    const line = lineOf(raw.replace(/\r$/, ''));
    if (STARTING.test(line.text)) lives.push({ lines: [], fromStart: true });
    lives.at(-1)!.lines.push(line);
  }
  return lives
    .filter(({ lines }) => lines.length > 0)
    .map(({ lines, fromStart }) => ({
      pid: lines.findLast(({ pid }) => pid !== undefined)?.pid,
      lines,
      // A tail that begins in the middle belongs to a process that had been running.
      served: !fromStart || lines.some(({ text }) => SERVING.test(text)),
      fromStart,
    }));
}

function lineOf(raw: string): LogLine {
  const plain = LINE.exec(raw);
  if (plain) return { pid: Number(plain[1]), ...timeOf(plain[3]!), text: plain[5]! };
  const signal = SIGNAL.exec(raw);
  if (signal) return { pid: Number(signal[1]), at: Number(signal[2]) * 1000, text: signal[3]! };
  const logfmt = LOGFMT.exec(raw);
  if (logfmt) return { pid: Number(logfmt[1]), ...timeOf(logfmt[2]!), text: logfmt[3]! };
  return { text: raw };
}

function timeOf(text: string): { at?: number } {
  const at = /^\d{13}$/.test(text) ? Number(text) : Date.parse(text);
  return Number.isNaN(at) ? {} : { at };
}
