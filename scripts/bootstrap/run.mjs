import { spawn } from 'node:child_process';
import { findOnPath } from './machine.mjs';

const children = new Set();

/**
 * Runs a command to its end and returns what it printed.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, timeoutMs?: number, onLine?: (line: string) => void }} options
 *   `onLine` is called for each line of standard error.
 * @returns {Promise<{ stdout: string, stderr: string }>}
 * @throws {Error} with the last lines it printed, and all of them in `stderr`, when it exits with another code than 0
 */
export function run(command, args, options = {}) {
  return new Promise((settle, fail) => {
    // When this process is killed -9, a build that takes minutes should not go on alone. Linux can be asked for that; elsewhere the
    // command ends by itself, in a temporary folder that the next bootstrap removes.
    const setpriv = process.platform === 'linux' ? findOnPath('setpriv') : undefined;
    const [program, all] =
      setpriv === undefined ? [command, args] : [setpriv, ['--pdeathsig', 'TERM', '--', command, ...args]];
    const child = spawn(program, all, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: options.timeoutMs,
    });
    children.add(child);
    let stdout = '';
    let stderr = '';
    let rest = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr = (stderr + text).slice(-100_000);
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      if (options.onLine) for (const line of lines) options.onLine(line);
    });
    child.once('error', (error) => {
      children.delete(child);
      fail(error);
    });
    child.once('close', (code, signal) => {
      children.delete(child);
      if (code === 0) {
        settle({ stdout, stderr });
        return;
      }
      const late = signal !== null && options.timeoutMs !== undefined;
      const how = late ? `did not end within ${options.timeoutMs / 1000} s` : `ended with ${signal ?? `code ${code}`}`;
      fail(Object.assign(new Error(`${command} ${how}${tail(stderr || stdout)}`), { stderr }));
    });
  });
}

/** Ends every command that is still running; for signals. */
export function endAll() {
  for (const child of children) child.kill('SIGTERM');
}

function tail(text) {
  const lines = text.trim().split('\n').slice(-3).join(' / ').trim();
  return lines === '' ? '' : `: ${lines.slice(0, 500)}`;
}
