import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { PutKeysStage, put } from '../support/put-keys.ts';
import { missingFlavour } from '../support/servers.ts';

const stage = new PutKeysStage();
afterEach(() => stage.end());

for (const flavour of ['redis-8.2', 'valkey-9'] as const) {
  test.skipIf(missingFlavour(flavour))(
    `${flavour}: fields of hashes keep their own expiry; those whose time has passed are not seen, and stop nothing`,
    async () => {
      const source = await stage.side(flavour);
      const { redis } = source;
      await redis.hset('some', 'stays', '1', 'later', '2', 'gone', '3');
      await redis.hset('all', 'gone', '1');
      await redis.set('after', '1');
      await redis.call('HEXPIRE', 'some', '10000', 'FIELDS', '1', 'later');
      for (const key of ['some', 'all']) await redis.call('HPEXPIRE', key, '400', 'FIELDS', '1', 'gone');
      await redis.save();
      const at = Number(((await redis.call('HPEXPIRETIME', 'some', 'FIELDS', '1', 'later')) as number[])[0]);
      await expect.poll(() => redis.exists('all'), { timeout: 10_000 }).toBe(0);
      const dump = join(source.server.dir, 'dump.rdb');
      for (const onConflict of ['keep-live', 'take-backup'] as const) {
        const target = await stage.side(flavour);
        await target.redis.set('some', 'live');
        const figures = await put(await stage.task(dump, target, { onConflict }));
        expect(figures.restored + figures.kept + figures.replaced + figures.expired).toBe(3);
        expect(await target.redis.get('after')).toBe('1');
        await expect.poll(() => target.redis.exists('all'), { timeout: 10_000 }).toBe(0);
        if (onConflict === 'keep-live') expect(await target.redis.get('some')).toBe('live');
        else {
          expect(await target.redis.hgetall('some')).toEqual({ stays: '1', later: '2' });
          expect(await target.redis.call('HPEXPIRETIME', 'some', 'FIELDS', '1', 'later')).toEqual([at]);
        }
      }
    },
    60_000,
  );
}
