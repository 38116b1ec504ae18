import type { Redis } from 'ioredis';
import type { RdbEntry } from '../../rdb/entry.ts';
import { Reservoir } from '../../rdb/reservoir.ts';
import type { RdbFile } from '../../rdb/source.ts';
import { walkRdb } from '../../rdb/walk.ts';

/** Names of some keys of a dump, by database, each with the same chance. Names are data: they stay in this process. */
export type KeySample = ReadonlyMap<number, readonly Buffer[]>;

/** Of each database: enough to tell a loss of a hundredth from none, and half a megabyte at most. */
export const SAMPLED = 1_000;
/** Longer names are passed over, so that memory is bounded whatever the keys are. */
const NAME_BYTES = 512;
const EXISTS_AT_ONCE = 200;
/** Databases that are sampled; further ones, which nobody has, are judged by their counts. */
const DATABASES = 64;

export interface SampledDump {
  readonly sample: KeySample;
  /** Keys by database that had not expired at `aliveAt`. */
  readonly keys: ReadonlyMap<number, number>;
}

/**
 * Walks a dump once, in slices, and chooses keys that must still be there when nobody deleted them.
 *
 * @param aliveAt Unix ms: keys whose expiry has passed by then are left out
 */
export async function sampleKeys(
  dump: RdbFile,
  aliveAt: number,
  options: { count?: number; seed?: number; signal?: AbortSignal } = {},
): Promise<SampledDump> {
  const reservoirs = new Map<number, Reservoir<Buffer>>();
  const keys = new Map<number, number>();
  await walkRdb(
    dump,
    {
      key: (entry) => {
        if (entry.expireAtMs >= 0 && entry.expireAtMs <= aliveAt) return null;
        keys.set(entry.db, (keys.get(entry.db) ?? 0) + 1);
        if (entry.keyEnd - entry.keyStart > NAME_BYTES) return null;
        let reservoir = reservoirs.get(entry.db);
        if (!reservoir) {
          if (reservoirs.size >= DATABASES) return null;
          reservoir = new Reservoir(options.count ?? SAMPLED, (options.seed ?? 1) + entry.db);
          reservoirs.set(entry.db, reservoir);
        }
        const slot = reservoir.offer();
        if (slot >= 0) reservoir.put(slot, ownCopy(entry));
        return null;
      },
    },
    { signal: options.signal },
  );
  return { sample: new Map([...reservoirs].map(([db, reservoir]) => [db, reservoir.chosen])), keys };
}

/** Of its own memory: a slice of Node's pool would keep 8 KiB for each name. */
function ownCopy({ keyBytes, keyStart, keyEnd }: RdbEntry): Buffer {
  const copy = Buffer.allocUnsafeSlow(keyEnd - keyStart);
  copy.set(keyBytes.subarray(keyStart, keyEnd));
  return copy;
}

/** Which of the sampled keys of one database of the dump are in a database of the live server, in the sample's order. */
export async function whichExist(redis: Redis, db: number, names: readonly Buffer[]): Promise<boolean[]> {
  const answers: boolean[] = [];
  await redis.select(db);
  for (let at = 0; at < names.length; at += EXISTS_AT_ONCE) {
    const piece = names.slice(at, at + EXISTS_AT_ONCE);
    answers.push(...(await Promise.all(piece.map((name) => redis.exists(name)))).map((found) => found === 1));
  }
  return answers;
}
