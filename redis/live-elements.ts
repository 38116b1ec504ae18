import type { Redis } from 'ioredis';
import type { ContentDigest } from '../rdb/content-digest.ts';

/** Answers are kept near this size, whatever the elements weigh. */
const answerBytes = 1024 * 1024;
const fewestElements = 8;
const mostElements = 8 * 1024;

/** How many elements to ask for next, by what the last answer weighed. */
class Portion {
  count = 256;

  learn(answer: readonly Buffer[]): void {
    const bytes = answer.reduce((sum, { length }) => sum + length, 0);
    if (bytes > 2 * answerBytes) this.count = Math.max(fewestElements, this.count >> 2);
    else if (bytes < answerBytes / 4) this.count = Math.min(mostElements, this.count * 2);
  }
}

/** Feeds a list's elements from the head. */
export async function readList(redis: Redis, key: Buffer, digest: ContentDigest): Promise<void> {
  const portion = new Portion();
  for (let at = 0; ; ) {
    const elements = await redis.lrangeBuffer(key, at, at + portion.count - 1);
    for (const element of elements) digest.text(element);
    if (elements.length < portion.count) return;
    at += elements.length;
    portion.learn(elements);
  }
}

/** Feeds a sorted set's members and scores in the order of their ranks. */
export async function readSortedSet(redis: Redis, key: Buffer, digest: ContentDigest): Promise<void> {
  const portion = new Portion();
  for (let at = 0; ; ) {
    const answer = await redis.callBuffer('ZRANGE', key, at, at + portion.count - 1, 'WITHSCORES');
    const pairs = answer as Buffer[];
    for (let i = 0; i + 1 < pairs.length; i += 2) {
      digest.text(pairs[i]!);
      digest.score(scoreOf(pairs[i + 1]!));
    }
    if (pairs.length < 2 * portion.count) return;
    at += pairs.length / 2;
    portion.learn(pairs);
  }
}

export async function readSet(redis: Redis, key: Buffer, digest: ContentDigest): Promise<void> {
  await scanOnce(redis, 'SSCAN', key, await redis.scard(key), {
    begin: () => digest.begin('set'),
    take: (members) => {
      for (const member of members) digest.text(member);
    },
  });
}

/** Feeds a hash's fields, each with its own expiry where the server knows such a thing (Redis 7.4, Valkey 9). */
export async function readHash(redis: Redis, key: Buffer, digest: ContentDigest): Promise<void> {
  let hasFieldExpiry = true;
  await scanOnce(redis, 'HSCAN', key, await redis.hlen(key), {
    begin: () => digest.begin('hash'),
    take: async (pairs) => {
      const fields = pairs.filter((_, i) => i % 2 === 0);
      const expiries = hasFieldExpiry ? await fieldExpiries(redis, key, fields) : undefined;
      if (!expiries) hasFieldExpiry = false;
      for (const [i, field] of fields.entries()) {
        digest.text(field);
        digest.text(pairs[2 * i + 1]!);
        const expireAt = expiries?.[i] ?? -1;
        if (expireAt >= 0) digest.fieldExpiry(expireAt);
        digest.pairEnd();
      }
    },
  });
}

/** Unix ms for each field, negative for never; undefined where the server has no expiry of fields. */
async function fieldExpiries(redis: Redis, key: Buffer, fields: readonly Buffer[]): Promise<number[] | undefined> {
  if (fields.length === 0) return [];
  try {
    const answer = await redis.call('HPEXPIRETIME', key, 'FIELDS', fields.length, ...fields);
    return (answer as number[]).map(Number);
  } catch (error) {
    if (/unknown command/i.test(String(error))) return undefined;
    throw error;
  }
}

interface ScanTarget {
  /** Everything that was taken before is void. */
  begin(): void;
  take(elements: Buffer[]): void | Promise<void>;
}

/**
 * Gives every element once. A scan may answer one twice when the table is resized under it; that shows in the count,
 * and only then the scan is done again with the memory that it takes to know them all by name.
 */
async function scanOnce(
  redis: Redis,
  command: 'SSCAN' | 'HSCAN',
  key: Buffer,
  cardinality: number,
  target: ScanTarget,
): Promise<void> {
  if ((await scan(redis, command, key, (elements) => target.take(elements))) === cardinality) return;
  target.begin();
  const seen = new Set<string>();
  await scan(redis, command, key, (elements) => target.take(unseen(elements, command === 'HSCAN' ? 2 : 1, seen)));
}

/** @returns how many elements were given */
async function scan(
  redis: Redis,
  command: 'SSCAN' | 'HSCAN',
  key: Buffer,
  take: (elements: Buffer[]) => void | Promise<void>,
): Promise<number> {
  const portion = new Portion();
  let given = 0;
  let cursor = '0';
  do {
    const answer = await redis.callBuffer(command, key, cursor, 'COUNT', portion.count);
    const [next, elements] = answer as [Buffer, Buffer[]];
    cursor = next.toString();
    given += elements.length / (command === 'HSCAN' ? 2 : 1);
    await take(elements);
    portion.learn(elements);
  } while (cursor !== '0');
  return given;
}

/** The elements (of `width` parts, the first of which is the name) whose names have not been seen yet. */
function unseen(elements: readonly Buffer[], width: 1 | 2, seen: Set<string>): Buffer[] {
  const fresh: Buffer[] = [];
  for (let i = 0; i < elements.length; i += width) {
    const name = elements[i]!.toString('latin1');
    if (seen.has(name)) continue;
    seen.add(name);
    fresh.push(...elements.slice(i, i + width));
  }
  return fresh;
}

/** A score as RESP2 writes it: 17 significant digits, `inf`, `-inf`. */
function scoreOf(text: Buffer): number {
  const score = text.toString('latin1');
  if (score === 'inf') return Number.POSITIVE_INFINITY;
  return score === '-inf' ? Number.NEGATIVE_INFINITY : Number(score);
}
