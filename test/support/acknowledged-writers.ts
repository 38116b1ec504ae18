import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { expect } from 'vitest';
import { connectTo } from './dataset.ts';
import type { RedisServer } from './servers.ts';

/** An application of several connections that writes down what was acknowledged: each kind of write has its own keys. */
export class AcknowledgedWriters {
  readonly #name: string;
  readonly #loops: Promise<void>[] = [];
  readonly #acknowledged = new Map<string, number>();
  #stopped = false;
  refused = 0;

  private constructor(name: string) {
    this.#name = name;
  }

  static async start(server: RedisServer, name: string): Promise<AcknowledgedWriters> {
    const writers = new AcknowledgedWriters(name);
    for (const kind of kinds) writers.#loops.push(writers.#write(await connectTo(server), kind));
    return writers;
  }

  /** Until each kind was acknowledged so many times more. */
  async go(times: number): Promise<void> {
    const goal = new Map(kinds.map((kind) => [kind, this.#count(kind) + times]));
    const reached = () => kinds.every((kind) => this.#count(kind) >= (goal.get(kind) as number));
    await expect.poll(reached, { timeout: 60_000, interval: 1 }).toBe(true);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  /** Every write that was acknowledged is there, and none twice. */
  async allThere(server: RedisServer): Promise<void> {
    const redis = await connectTo(server);
    const key = (kind: string) => `${this.#name}:${kind}`;
    const upTo = (kind: Kind) => Array.from({ length: this.#count(kind) }, (_, at) => String(at));
    try {
      expect(await redis.get(key('incr'))).toBe(String(this.#count('incr')));
      expect((await redis.lrange(key('lpush'), 0, -1)).reverse()).toEqual(upTo('lpush'));
      const set = await Promise.all(upTo('set').map((id) => redis.get(key(`set:${id}`))));
      expect(set).toEqual(upTo('set'));
      const expiring = await Promise.all(upTo('expire').map((id) => redis.ttl(key(`expire:${id}`))));
      expect(expiring.filter((ttl) => ttl <= 0)).toEqual([]);
      expect(await redis.get(key('multi'))).toBe(String(this.#count('multi')));
      expect(await redis.lrange(key('multi:log'), 0, -1)).toEqual(upTo('multi'));
      expect(await redis.hgetall(key('lua'))).toEqual(Object.fromEntries(upTo('lua').map((id) => [id, id])));
      await redis.select(5);
      expect((await redis.smembers(key('other'))).map(Number).sort((a, b) => a - b)).toEqual(upTo('other').map(Number));
    } finally {
      redis.disconnect();
    }
  }

  async #write(redis: Redis, kind: Kind): Promise<void> {
    if (kind === 'other') await redis.select(5);
    while (!this.#stopped) {
      const id = this.#count(kind);
      await writes[kind](redis, `${this.#name}:${kind}`, id).then(
        () => this.#acknowledged.set(kind, id + 1),
        () => {
          this.refused += 1;
          return sleep(20);
        },
      );
      // As fast as an application, not as fast as a benchmark: others share the machine.
      await sleep(1);
    }
    redis.disconnect();
  }

  #count = (kind: Kind): number => this.#acknowledged.get(kind) ?? 0;
}

const kinds = ['incr', 'lpush', 'set', 'expire', 'multi', 'lua', 'other'] as const;
type Kind = (typeof kinds)[number];

const writes: Readonly<Record<Kind, (redis: Redis, key: string, id: number) => Promise<unknown>>> = {
  incr: (redis, key) => redis.incr(key),
  lpush: (redis, key, id) => redis.lpush(key, id),
  set: (redis, key, id) => redis.set(`${key}:${id}`, id),
  expire: (redis, key, id) => redis.set(`${key}:${id}`, id, 'EX', 3_600),
  multi: async (redis, key, id) => {
    const answers = await redis.multi().incr(key).rpush(`${key}:log`, id).exec();
    const failed = answers?.find(([error]) => error)?.[0];
    if (failed) throw failed;
  },
  lua: (redis, key, id) => redis.eval("return redis.call('HSET', KEYS[1], ARGV[1], ARGV[1])", 1, key, id),
  other: (redis, key, id) => redis.sadd(key, id),
};
