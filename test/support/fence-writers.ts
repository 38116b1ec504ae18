import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { connectRedis } from '../../redis/connection.ts';

/** An application of many connections, in a process of its own: counts up without end, as users `app0`, `app1`, … */
export interface WritersReport {
  readonly acknowledged: number;
  readonly refused: number;
}

const [port, users, connections] = process.argv.slice(2).map(Number) as [number, number, number];
let [acknowledged, refused, stopped] = [0, 0, false];

const write = async (redis: Redis) => {
  while (!stopped) {
    await redis.incr('count').then(
      () => (acknowledged += 1),
      () => {
        refused += 1;
        return sleep(50);
      },
    );
  }
  redis.disconnect();
};

const login = (at: number) => connectRedis({ url: `redis://app${at % users}@127.0.0.1:${port}`, password: 'any' });
const all = (await Promise.all(Array.from({ length: connections }, (_, at) => login(at)))).map(write);
process.send?.('writing');
process.once('message', async () => {
  stopped = true;
  await Promise.all(all);
  process.send?.({ acknowledged, refused } satisfies WritersReport, () => process.disconnect());
});
process.once('disconnect', () => process.exit());
