import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { type PutKeysCursor, type PutKeysFigures, type PutKeysTask, putKeys } from '../../restore/keys/put-keys.ts';
import { fillServer } from '../../scripts/bench/dataset.ts';
import { connectTo } from './dataset.ts';
import { type Flavour, type RedisOptions, type RedisServer, startRedis } from './servers.ts';
import { type TemporaryFolder, temporaryFolder } from './temporary-folder.ts';

export const flavours: readonly Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];

/** A server and a connection to it; DEBUG is allowed. */
export interface Side {
  readonly server: RedisServer;
  readonly redis: Redis;
}

/** What a test started, ended together with it. */
export class PutKeysStage {
  readonly #undo: (() => unknown)[] = [];
  #folder: TemporaryFolder | undefined;
  #files = 0;

  async side(flavour: Flavour, options: RedisOptions = {}): Promise<Side> {
    // Before 7.0 DEBUG is always allowed, and the setting not known.
    const debug: Record<string, string> = flavour === 'redis-6.2' ? {} : { 'enable-debug-command': 'local' };
    const server = await startRedis({ flavour, ...options, config: { ...debug, ...options.config } });
    this.#undo.push(() => server.stop());
    return this.connect(server);
  }

  async connect(server: RedisServer): Promise<Side> {
    const redis = await connectTo(server);
    this.#undo.push(() => redis.disconnect());
    return { server, redis };
  }

  /** Every type and encoding in several databases, with function libraries where the server knows them, saved. */
  async source(
    flavour: Flavour,
    keys: number,
    seed: number,
    options: RedisOptions = {},
  ): Promise<Side & { dump: string }> {
    const side = await this.side(flavour, options);
    await fillServer(side.server.port, { keys, seed });
    await fillOtherDatabases(side.redis);
    if (flavour !== 'redis-6.2') {
      await side.redis.call(
        'FUNCTION',
        'LOAD',
        "#!lua name=one\nredis.register_function('one', function() return 1 end)",
      );
    }
    await side.redis.save();
    return { ...side, dump: join(side.server.dir, 'dump.rdb') };
  }

  async file(name: string): Promise<string> {
    this.#folder ??= await temporaryFolder('put-keys');
    return join(this.#folder.path, `${this.#files++}-${name}`);
  }

  async task(dumpPath: string, target: Side, change: Partial<PutKeysTask> = {}): Promise<PutKeysTask> {
    const { port, password } = target.server;
    return {
      dumpPath,
      target: { url: `redis://127.0.0.1:${port}`, ...(password === undefined ? {} : { password }) },
      selection: {},
      ttl: 'keep',
      shiftMs: 0,
      onConflict: 'keep-live',
      functions: 'append',
      namesFile: await this.file('names.jsonl'),
      by: 'slices',
      limits: {},
      ...change,
    };
  }

  async end(): Promise<void> {
    for (const step of this.#undo.splice(0).reverse()) await step();
    await this.#folder?.remove();
    this.#folder = undefined;
  }
}

export function put(
  task: PutKeysTask,
  more: { resumeFrom?: PutKeysCursor; onCursor?: (cursor: PutKeysCursor) => void; signal?: AbortSignal } = {},
): Promise<PutKeysFigures> {
  return putKeys(task, {
    signal: more.signal ?? new AbortController().signal,
    onProgress: () => {},
    onCursor: more.onCursor ?? (() => {}),
    ...(more.resumeFrom === undefined ? {} : { resumeFrom: more.resumeFrom }),
  });
}

export async function digestOf({ redis }: Side): Promise<string> {
  return String(await redis.call('DEBUG', 'DIGEST'));
}

async function fillOtherDatabases(redis: Redis): Promise<void> {
  await redis.select(5);
  for (let i = 0; i < 70; i++) await redis.set(`other:${i}`, i, 'PX', 10_000_000);
  await redis.set(Buffer.from([0xff, 0x00, 0xfe, 0x0a]), 'no UTF-8');
  await redis.set('', 'no name');
  await redis.select(9);
  await redis.set('long', Buffer.alloc(3_000_000, 'abcdefghij'));
  await redis.setrange('sparse', 5_000_000, 'end');
  for (let i = 0; i < 30; i++) await redis.rpush('long:list', Buffer.alloc(30_000, `${i}`));
  await redis.select(0);
}

/** The processes that put keys for `parent`, by /proc. */
export async function puttersOf(parent: number): Promise<number[]> {
  const found: number[] = [];
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const [stat, command] = await Promise.all(
      ['stat', 'cmdline'].map((file) => readFile(`/proc/${pid}/${file}`, 'latin1').catch(() => '')),
    );
    const ppid = Number(stat!.slice(stat!.lastIndexOf(')') + 2).split(' ')[1]);
    if (ppid === parent && command!.includes('put-keys-child')) found.push(pid);
  }
  return found;
}
