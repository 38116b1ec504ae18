import type { Redis } from 'ioredis';
import { readInfo } from '../../redis/info.ts';

const prefix = 'redis-rewind:restoring:';
const isTemporary = new RegExp(`^${prefix}\\d+$`);
const scannedAtOnce = 1000;

/** The name under which a key is put together: nobody sees half a key under its own. */
export const temporaryName = (recordAt: number): Buffer => Buffer.from(`${prefix}${recordAt}`);

/** Keys that were begun under a temporary name and have not got their own yet. */
export class TemporaryKeys {
  /** Offset of the key's record → its database. */
  readonly #begun = new Map<number, number>();

  begin(recordAt: number, db: number): void {
    this.#begun.set(recordAt, db);
  }

  /** It was renamed, or taken away. */
  end(recordAt: number): void {
    this.#begun.delete(recordAt);
  }

  /** Takes away what a restore has begun that ends here: whoever goes on begins these keys again. */
  async remove(redis: Redis): Promise<void> {
    for (const [recordAt, db] of this.#begun) {
      await redis.select(db);
      await redis.unlink(temporaryName(recordAt));
      this.#begun.delete(recordAt);
    }
  }
}

/**
 * Takes away what a restore left that was killed and never gone on with. Looks through all names, in steps that hold nobody
 * up (about a second for a million keys). A user who may not look leaves them where they are.
 *
 * @returns how many there were
 */
export async function sweepTemporaryKeys(redis: Redis, signal: AbortSignal): Promise<number> {
  let removed = 0;
  try {
    for (const field of Object.keys(await readInfo(redis, 'keyspace'))) {
      const db = /^db(\d+)$/.exec(field)?.[1];
      if (db === undefined) continue;
      await redis.select(Number(db));
      let cursor = '0';
      do {
        signal.throwIfAborted();
        const [next, names] = await redis.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', scannedAtOnce);
        const left = names.filter((name) => isTemporary.test(name));
        if (left.length > 0) removed += await redis.unlink(...left);
        cursor = next;
      } while (cursor !== '0');
    }
  } catch (error) {
    if (!/^NOPERM/.test((error as Error).message)) throw error;
  }
  return removed;
}
