import type { Redis } from 'ioredis';

/** How many sessions the demo holds; the other kinds are a handful each. */
const SESSIONS = 500;

/** A small set of every type, the same at every start, so that a first backup has something to prove. */
export async function fillDemo(redis: Redis): Promise<void> {
  if ((await redis.exists('demo:filled')) === 1) return;
  const pipeline = redis.pipeline();
  for (let id = 1; id <= SESSIONS; id += 1) {
    const key = `session:${id}`;
    pipeline.hset(key, { user: `user:${id}`, cart: id % 7, seen: 1_760_000_000 + id });
    pipeline.expire(key, 7 * 86_400 + id);
  }
  for (let id = 1; id <= 200; id += 1) {
    pipeline.set(`user:${id}:name`, `name of user ${id}`);
    pipeline.zadd('leaderboard', id * 1.5, `user:${id}`);
    pipeline.rpush('jobs:waiting', `job ${id}`);
    pipeline.sadd('users:online', `user:${id}`);
    pipeline.sadd('users:ids', id);
    pipeline.pfadd('visitors', `visitor ${id}`);
    pipeline.setbit('flags', id * 3, 1);
    pipeline.xadd('audit', `${id}-1`, 'event', 'login', 'user', `user:${id}`);
  }
  pipeline.geoadd('places', 13.361389, 38.115556, 'Palermo', 15.087269, 37.502669, 'Catania');
  pipeline.set('text:long', 'a line that compresses well\n'.repeat(2_000));
  pipeline.set('counter', 42);
  pipeline.xgroup('CREATE', 'audit', 'readers', '0');
  pipeline.xreadgroup('GROUP', 'readers', 'reader-1', 'COUNT', 5, 'STREAMS', 'audit', '>');
  pipeline.select(1);
  pipeline.set('in-another-database', 'yes');
  pipeline.select(0);
  await pipeline.exec();
  // Functions came with 7.0; a demo on an older server goes without.
  await redis
    .call(
      'FUNCTION',
      'LOAD',
      'REPLACE',
      "#!lua name=demo\nredis.register_function('demo_hello', function() return 'hello' end)",
    )
    .catch(() => undefined);
  await redis.set('demo:filled', '1');
}
