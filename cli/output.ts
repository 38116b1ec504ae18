import type { WriteStream } from 'node:tty';
import { RewindError } from '../errors/rewind-error.ts';
import { wrapLines } from './wrap.ts';

/** 0 done; 1 failed; 2 wrong usage or configuration; 3 the goal was not met; 4 rejected or timed out at a gate. */
export type ExitCode = 0 | 1 | 2 | 3 | 4;

/** With `--json` one document goes to stdout and nothing else does; progress and logs go to stderr always. */
export interface Output {
  readonly json: boolean;
  /** The answer: text for a person, or the document for a program. */
  answer(text: string, document: unknown): void;
  /** What happens meanwhile. */
  log(line: string): void;
  /** Prints an error in full and gives the exit code that it stands for. */
  error(error: unknown): ExitCode;
}

export function outputTo(json: boolean, stdout: NodeJS.WritableStream, stderr: NodeJS.WritableStream): Output {
  return {
    json,
    answer: (text, document) => void stdout.write(json ? `${JSON.stringify(document)}\n` : `${text}\n`),
    log: (line) => void stderr.write(`${line}\n`),
    error(error) {
      const shown = asShown(error);
      if (json) stdout.write(`${JSON.stringify({ error: shown })}\n`);
      const lines = [`${shown.code}: ${shown.message}`, `  safe: ${shown.safe}`, `  next: ${shown.next}`];
      // A program finds a sentence in one line.
      stderr.write(`${((stderr as WriteStream).isTTY ? lines.map((line) => wrapLines(line)) : lines).join('\n')}\n`);
      if (notApproved.has(shown.code)) return 4;
      return shown.code.startsWith('CONFIG_') || wrongUsage.has(shown.code) ? 2 : 1;
    },
  };
}

/** What a person mends in what they typed, or in the configuration and what it names. */
const wrongUsage = new Set([
  'USAGE',
  'INSTANCE_UNKNOWN',
  'INSTANCE_NOT_REACHED',
  'SECRET_MISSING',
  'RESTORE_INPUT_INVALID',
  'RUN_UNKNOWN',
  'DIFF_SIDES',
]);

/** What a person, or the lack of one, decided at a gate. */
const notApproved = new Set(['GATE_REJECTED', 'GATE_TIMED_OUT', 'ABORTED']);

interface ShownError {
  readonly code: string;
  readonly message: string;
  readonly safe: string;
  readonly next: string;
}

function asShown(error: unknown): ShownError {
  if (error instanceof RewindError) return error.toJSON();
  if (error instanceof Error && (error.name === 'AbortError' || error.message === 'interrupted')) {
    return {
      code: 'INTERRUPTED',
      message: 'The command was interrupted.',
      safe: 'What is in the repository is untouched; workflows that were started run on.',
      next: 'Run it again, or see what runs: rewind status',
    };
  }
  return {
    code: 'UNEXPECTED',
    message: error instanceof Error ? error.message : String(error),
    safe: 'What is in the repository is untouched unless the message says otherwise.',
    next: 'Run again with DEBUG=redis-rewind for the stack, and report it.',
  };
}
