import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { MutantNews, MutantOrder } from './mutant-reader-main.ts';

/** One answer may take so long, however busy the machine is: a reader that hangs is then killed. */
const patienceMs = 240_000;

/** A process that reads mutants, so that one that hangs or crashes is noticed and named. */
export class MutantReader {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(folder: string, files: readonly string[]): Promise<MutantReader> {
    const child = fork(new URL('./mutant-reader-main.ts', import.meta.url), [folder, ...files], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      serialization: 'advanced',
      execArgv: [],
    });
    await once(child, 'message');
    return new MutantReader(child);
  }

  /** @throws Error where the process ended or did not answer, with the numbers that it was reading */
  async read(order: MutantOrder): Promise<MutantNews> {
    const answered = Promise.withResolvers<MutantNews>();
    const range = `mutants ${order.from} to ${order.to - 1} of seed ${order.seed}`;
    const ended = (code: number | null, signal: string | null) =>
      answered.reject(new Error(`the reader ended (${signal ?? code}) over ${range}`));
    this.#child.once('message', answered.resolve);
    this.#child.once('exit', ended);
    const impatience = setTimeout(() => {
      answered.reject(new Error(`the reader hangs over ${range}`));
      this.#child.kill('SIGKILL');
    }, patienceMs);
    this.#child.send(order);
    try {
      return await answered.promise;
    } finally {
      clearTimeout(impatience);
      this.#child.off('exit', ended);
      this.#child.off('message', answered.resolve);
    }
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}
