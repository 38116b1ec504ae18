import { spawn } from 'node:child_process';
import { RewindError } from '../errors/rewind-error.ts';
import { withoutNames } from './log-words.ts';

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  /** The last it said on either output, on one line, without what stands in quotes. */
  readonly words: string;
}

const keptBytes = 64 * 1024;

/**
 * Runs a program with its arguments as they are, never through a shell, and waits for its end.
 * What it says is read no longer than it runs: a server that it leaves behind may hold its outputs open for ever.
 *
 * @throws HOST_COMMAND_FAILED when it cannot be executed; the signal's reason when aborted (the program is then ended)
 */
export function runCommand(argv: readonly string[], signal?: AbortSignal): Promise<CommandResult> {
  const [program = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout = (stdout + chunk.toString()).slice(-keptBytes);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-keptBytes);
    });
    const abort = () => child.kill('SIGTERM');
    signal?.addEventListener('abort', abort, { once: true });
    child.once('error', (cause) =>
      reject(new RewindError('HOST_COMMAND_FAILED', `${argv.join(' ')} cannot be run: ${cause.message}`, { cause })),
    );
    // Not `close`: a server that was left running keeps the pipes open.
    child.once('exit', (code) => {
      signal?.removeEventListener('abort', abort);
      setImmediate(() => {
        child.stdout.destroy();
        child.stderr.destroy();
        if (signal?.aborted) reject(signal.reason);
        else resolve({ code, stdout, words: withoutNames(`${stdout}\n${stderr}`).slice(-3).join('; ') });
      });
    });
  });
}

/** @throws HOST_COMMAND_FAILED with what it said, when it ends with another code than 0 */
export async function runToSuccess(argv: readonly string[], signal?: AbortSignal): Promise<CommandResult> {
  const result = await runCommand(argv, signal);
  if (result.code === 0) return result;
  const said = result.words === '' ? '' : `: ${result.words}`;
  throw new RewindError('HOST_COMMAND_FAILED', `${argv.join(' ')} ended with ${result.code ?? 'a signal'}${said}`);
}
