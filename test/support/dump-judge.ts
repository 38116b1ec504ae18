import { readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { freePort } from '../../process/free-port.ts';
import { type LeashedProcess, startLeashed } from '../../process/leash.ts';
import { connectRedis } from '../../redis/connection.ts';
import { type Flavour, redisBinary } from './servers.ts';
import { type TemporaryFolder, temporaryFolder } from './temporary-folder.ts';

/** What a real server says of a dump. */
export type Verdict =
  | { readonly loaded: true; readonly keysByDatabase: Readonly<Record<string, number>> }
  /** Its own words; `hung` where it did not come to an end in `patienceMs`. */
  | { readonly loaded: false; readonly words: string };

/** Longest that one dump may take; then the server is killed. */
const patienceMs = 30_000;

/**
 * A real server that loads one dump after the other (DEBUG RELOAD NOSAVE) and says what it holds then. A dump that it
 * refuses ends it, as it would end a server at its start: a loop around it starts the next one at once.
 */
export class DumpJudge {
  readonly #flavour: Flavour;
  readonly #folder: TemporaryFolder;
  readonly #loop: LeashedProcess;
  readonly #url: string;
  #redis: Redis | undefined;
  #logRead = 0;

  private constructor(flavour: Flavour, folder: TemporaryFolder, loop: LeashedProcess, url: string) {
    this.#flavour = flavour;
    this.#folder = folder;
    this.#loop = loop;
    this.#url = url;
  }

  /** @param config lines of redis.conf beside the server's defaults */
  static async start(flavour: Flavour, config: readonly string[] = []): Promise<DumpJudge> {
    const folder = await temporaryFolder('judge');
    const port = await freePort();
    const lines = [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${folder.path}`,
      `logfile ${join(folder.path, 'redis.log')}`,
      'save ""',
      'appendonly no',
      'crash-memcheck-enabled no',
      ...(flavour === 'redis-6.2' ? [] : ['enable-debug-command local']),
      ...config,
    ];
    await writeFile(join(folder.path, 'redis.conf'), `${lines.join('\n')}\n`);
    const loop = await startLeashed({
      name: 'judge',
      command: '/bin/sh',
      args: ['-c', 'while :; do rm -f dump.rdb; "$0" redis.conf; done', redisBinary(flavour)],
      cwd: folder.path,
      cleanup: [folder.path],
      graceMs: 500,
    });
    return new DumpJudge(flavour, folder, loop, `redis://127.0.0.1:${port}`);
  }

  async judge(dump: Uint8Array): Promise<Verdict> {
    const redis = await this.connect();
    if (this.#flavour !== 'redis-6.2') await redis.call('FUNCTION', 'FLUSH');
    const path = join(this.#folder.path, 'dump.rdb');
    await writeFile(`${path}.new`, dump);
    await rename(`${path}.new`, path);
    this.#logRead = await this.#logSize();
    let impatient = false;
    const impatience = setTimeout(() => {
      impatient = true;
      void this.#kill();
    }, patienceMs);
    try {
      await redis.call('DEBUG', 'RELOAD', 'NOSAVE');
      const keysByDatabase: Record<string, number> = {};
      for (const [, db, keys] of (await redis.info('keyspace')).matchAll(/^db(\d+):keys=(\d+)/gm)) {
        keysByDatabase[db!] = Number(keys);
      }
      return { loaded: true, keysByDatabase };
    } catch (error) {
      // It may have answered with an error and go on: then half of the dump is in it.
      await redis.flushall().catch(() => this.#drop());
      if (impatient) return { loaded: false, words: 'hung' };
      return { loaded: false, words: (await this.#lastWords()) || (error as Error).message };
    } finally {
      clearTimeout(impatience);
    }
  }

  async stop(): Promise<void> {
    this.#redis?.disconnect();
    await this.#loop.stop();
  }

  /** A connection to the server that runs now. */
  async connect(): Promise<Redis> {
    const until = performance.now() + 60_000;
    for (;;) {
      if (this.#redis?.status === 'ready') return this.#redis;
      try {
        this.#redis = await connectRedis({ url: this.#url });
        // Keys that expire stay for the count.
        await this.#redis.call('DEBUG', 'SET-ACTIVE-EXPIRE', '0');
        return this.#redis;
      } catch (error) {
        this.#drop();
        if (performance.now() > until) throw error;
        await sleep(5);
      }
    }
  }

  get url(): string {
    return this.#url;
  }

  #drop(): void {
    this.#redis?.disconnect();
    this.#redis = undefined;
  }

  /** The loop's child: its server. */
  async #kill(): Promise<void> {
    const { pid } = this.#loop;
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'latin1').catch(() => '');
    for (const child of children.split(' ').map(Number)) if (child > 0) process.kill(child, 'SIGKILL');
  }

  async #logSize(): Promise<number> {
    return (await stat(join(this.#folder.path, 'redis.log')).catch(() => ({ size: 0 }))).size;
  }

  async #lastWords(): Promise<string> {
    const log = await readFile(join(this.#folder.path, 'redis.log')).catch(() => Buffer.alloc(0));
    return log
      .subarray(this.#logRead)
      .toString('latin1')
      .split('\n')
      .filter((line) => / # /.test(line) || /ASSERT|crashed|signal/.test(line))
      .map((line) => line.replace(/^.*? # /, ''))
      .filter((line) => !/WARNING|oO0O|Configuration|=== |^---/.test(line))
      .slice(0, 3)
      .join('; ');
  }
}
