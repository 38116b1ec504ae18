import type { Redis } from 'ioredis';
import { Random } from '../../scripts/bench/random.ts';

/** Unix ms in 2100. */
export const farExpiry = 4_102_444_800_000;

/** What a random data set would hardly hit and what is awkward to say in commands. */
export async function addAwkwardValues(redis: Redis, options: { fieldExpiries: boolean }): Promise<void> {
  const random = new Random(7);
  await redis.set('', 'the empty key');
  await redis.set('empty', '');
  await redis.set(Buffer.from([0, 255, 13, 10, 36]), Buffer.from([0, 1, 2, 255]));
  await redis.set('large', Buffer.concat([random.bytes(5_000_000), Buffer.alloc(3_000_000, 'x')]));
  await redis.call('SET', 'large:expires', random.bytes(2_500_000), 'PXAT', farExpiry + 5);
  await redis.set('large:exact', Buffer.alloc(1024 * 1024, 'y'));
  const numbers = [0, -1, 127, -32769, 2147483648, '9223372036854775807', '-9223372036854775808', '007', '1.5'];
  for (const [i, value] of numbers.entries()) await redis.set(`int:${i}`, value);
  await redis.call('SET', 'expires', 'value', 'PXAT', farExpiry + 123);
  await redis.rpush('list:large', random.bytes(70_000), '', random.bytes(3_000_000), '-5', '12345678901234567890');
  await redis.rpush('list:many', ...Array.from({ length: 3_000 }, (_, i) => `${i}`));
  await redis.pexpireat('list:many', farExpiry + 1);
  await redis.sadd('set:64', 1, '9223372036854775807', '-9223372036854775808');
  await redis.sadd('set:mixed', '', '1', '01', random.bytes(100));
  await redis.sadd('set:many', ...Array.from({ length: 5_000 }, (_, i) => `member:${i}`));
  const scores = 'inf -inf 0 -0 1e308 -1e308 5e-324 0.1 0.30000000000000004 9007199254740993 1e21 -1.5e-9'.split(' ');
  await redis.zadd('zset:scores', ...scores.flatMap((score, i) => [score, `member:${i}`]));
  await redis.zadd('zset:equal', ...Array.from({ length: 3_000 }, (_, i) => ['1', `member:${i}`]).flat());
  await redis.hset('hash:odd', '', '', 'field', '', 'bytes', random.bytes(200), '12', '-12');
  await redis.hset(
    'hash:heavy',
    Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`f${i}`, 'v'.repeat(4e5 + i)])),
  );
  await redis.hset('hash:many', Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`f${i}`, `${i}`])));
  await addAwkwardStreams(redis);
  if (options.fieldExpiries) await addFieldExpiries(redis);
  await redis.select(9);
  await redis.set('key', 'in database 9');
  await redis.select(0);
}

async function addAwkwardStreams(redis: Redis): Promise<void> {
  await redis.xgroup('CREATE', 'stream:empty', 'nobody', '$', 'MKSTREAM');
  await redis.xadd('stream:emptied', '7-7', 'a', 'b');
  await redis.xdel('stream:emptied', '7-7');
  await redis.xadd('stream:trimmed', '7-7', 'a', 'b');
  await redis.xtrim('stream:trimmed', 'MAXLEN', 0);
  for (let i = 1; i <= 700; i++)
    await redis.xadd('stream', `${i}-1`, 'event', `${i}`, ...(i % 7 ? [] : ['', 'odd field']));
  await redis.xdel('stream', '5-1', '300-1');
  await redis.xtrim('stream', 'MAXLEN', 600);
  await redis.xgroup('CREATE', 'stream', 'readers', '0');
  await redis.xgroup('CREATE', 'stream', 'late', '400-1');
  await redis.xgroup('CREATE', 'stream', Buffer.from([0, 255, 10]) as never, '$');
  await redis.xreadgroup('GROUP', 'readers', 'one', 'COUNT', 300, 'STREAMS', 'stream', '>');
  await redis.xreadgroup('GROUP', 'readers', 'two', 'COUNT', 20, 'STREAMS', 'stream', '>');
  await redis.xack('stream', 'readers', '150-1', '151-1');
  await redis.xclaim('stream', 'readers', 'three', 0, '160-1', 'RETRYCOUNT', 9);
  await redis.xgroup('CREATECONSUMER', 'stream', 'late', 'idle');
  // Pending and deleted: in the middle, at the end, before the first.
  await redis.xdel('stream', '161-1', '400-1', '700-1');
  await redis.xtrim('stream', 'MAXLEN', 550);
  await pendingOnly(redis, 'stream:trimmed-pending', () => redis.xtrim('stream:trimmed-pending', 'MAXLEN', 3));
  await pendingOnly(redis, 'stream:all-trimmed', () => redis.xtrim('stream:all-trimmed', 'MAXLEN', 0));
  await pendingOnly(redis, 'stream:all-deleted', (ids) => redis.xdel('stream:all-deleted', ...ids));
  await redis.xadd('stream:end', '18446744073709551615-18446744073709551614', 'a', 'b');
  await redis.xadd('stream:end', '18446744073709551615-18446744073709551615', 'a', 'b');
  await redis.xadd('stream:seq', '5-18446744073709551615', 'a', 'b');
  await redis.pexpireat('stream:seq', farExpiry + 77);
}

async function pendingOnly(redis: Redis, key: string, remove: (ids: string[]) => Promise<unknown>): Promise<void> {
  const ids = Array.from({ length: 10 }, (_, i) => `${i + 1}-0`);
  for (const id of ids) await redis.xadd(key, id, 'a', 'b');
  for (const group of ['first', 'second']) {
    await redis.xgroup('CREATE', key, group, '0');
    await redis.xreadgroup('GROUP', group, 'reader', 'COUNT', 8, 'STREAMS', key, '>');
  }
  await redis.xack(key, 'second', '2-0');
  await remove(ids);
}

async function addFieldExpiries(redis: Redis): Promise<void> {
  await redis.hset('fields:few', 'a', '1', 'b', '2', 'c', '3');
  await redis.call('HPEXPIREAT', 'fields:few', farExpiry + 1, 'FIELDS', 2, 'a', 'c');
  await redis.pexpireat('fields:few', farExpiry + 9);
  await redis.hset('fields:many', ...Array.from({ length: 2_000 }, (_, i) => [`f${i}`, `v${i}`]).flat());
  for (let i = 0; i < 2_000; i += 3) await redis.call('HPEXPIREAT', 'fields:many', farExpiry + i, 'FIELDS', 1, `f${i}`);
  await redis.hset('fields:all', 'x', 'y');
  await redis.call('HPEXPIREAT', 'fields:all', farExpiry + 100_000, 'FIELDS', 1, 'x');
}
