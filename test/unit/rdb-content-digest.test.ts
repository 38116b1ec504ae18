import { describe, expect, test } from 'vitest';
import { ContentDigest, type DigestOptions } from '../../rdb/content-digest.ts';
import type { DecodedType } from '../../rdb/types.ts';
import type { StreamId } from '../../rdb/value-sink.ts';
import { Random } from '../../scripts/bench/random.ts';

const digestOf = (
  type: DecodedType,
  feed: (digest: ContentDigest) => void,
  options: DigestOptions & { expireAt?: number } = {},
) => {
  const digest = new ContentDigest(options);
  digest.begin(type);
  feed(digest);
  return digest.end(options.expireAt);
};
const texts =
  (...values: string[]) =>
  (digest: ContentDigest) => {
    for (const value of values) digest.text(Buffer.from(value, 'latin1'));
  };
const hash =
  (...pairs: (readonly [string, string, number?])[]) =>
  (digest: ContentDigest) => {
    for (const [field, value, expiry] of pairs) {
      texts(field, value)(digest);
      if (expiry !== undefined) digest.fieldExpiry(expiry);
      digest.pairEnd();
    }
  };
const zset =
  (...members: (readonly [string, number])[]) =>
  (digest: ContentDigest) => {
    for (const [member, score] of members) {
      texts(member)(digest);
      digest.score(score);
    }
  };
const id = (ms: number | bigint, seq: number | bigint = 0): StreamId => ({ ms: BigInt(ms), seq: BigInt(seq) });

describe('content that is the same has the same digest', () => {
  test('members of a set, fields of a hash and members of a sorted set in any order', () => {
    const names = Array.from({ length: 500 }, (_, i) => `name ${i}`);
    const shuffled = shuffle(names);
    expect(digestOf('set', texts(...names))).toBe(digestOf('set', texts(...shuffled)));
    const pair = (name: string) => [name, `${name}'s value`] as const;
    expect(digestOf('hash', hash(...names.map(pair)))).toBe(digestOf('hash', hash(...shuffled.map(pair))));
    const scored = (name: string) => [name, name.length / 3] as const;
    expect(digestOf('zset', zset(...names.map(scored)))).toBe(digestOf('zset', zset(...shuffled.map(scored))));
  });

  test('a string in one piece or in many', () => {
    const value = new Random(3).bytes(5000);
    const whole = digestOf('string', (digest) => digest.text(value));
    const random = new Random(4);
    for (let round = 0; round < 50; round++) {
      const pieces = digestOf('string', (digest) => {
        for (let at = 0; at < value.length; ) {
          const end = Math.min(value.length, at + random.between(0, round * 7));
          digest.piece(value, at, end, false);
          at = end + (round === 0 ? 1 : 0);
          if (round === 0) digest.piece(value, end, at, false);
        }
        digest.piece(value, 0, 0, true);
      });
      expect(pieces).toBe(whole);
    }
  });

  test('a negative zero, which a server forgets in some encodings', () => {
    expect(digestOf('zset', zset(['m', -0]))).toBe(digestOf('zset', zset(['m', 0])));
  });

  test('a digest that is used again forgets what it saw', () => {
    const digest = new ContentDigest();
    digest.begin('hash');
    texts('field')(digest);
    digest.begin('set');
    texts('a')(digest);
    expect(digest.end()).toBe(digestOf('set', texts('a')));
  });

  test('no expiry is no expiry, however it is said', () => {
    expect(digestOf('string', texts('v'), { expireAt: -1 })).toBe(digestOf('string', texts('v')));
  });
});

describe('content that differs has another digest', () => {
  const group = (digest: ContentDigest) => {
    digest.group();
    texts('g')(digest);
    digest.groupInfo({ lastId: id(5), entriesRead: 3n });
  };
  const consumer =
    (name: string, seenAtMs = 7, activeAtMs = 8) =>
    (digest: ContentDigest) => {
      digest.consumer();
      texts(name)(digest);
      digest.consumerInfo({ seenAtMs, activeAtMs });
    };
  const entry =
    (ms: number, ...fields: string[]) =>
    (digest: ContentDigest) => {
      digest.streamEntry(id(ms), fields.length / 2);
      texts(...fields)(digest);
    };
  const all =
    (...steps: ((digest: ContentDigest) => void)[]) =>
    (digest: ContentDigest) => {
      for (const step of steps) step(digest);
    };
  const info = (digest: ContentDigest) =>
    digest.streamInfo({ length: 1, lastId: id(9), maxDeletedId: id(4), entriesAdded: 12n });

  test('each of these from every other', () => {
    const digests = [
      ...['', 'a', 'b', 'ab', '\0', 'a\0', '1', '01', '-1', '1.0', 'x'.repeat(15), 'x'.repeat(16), 'x'.repeat(17)].map(
        (each) => digestOf('string', texts(each)),
      ),
      digestOf('string', texts('a'), { expireAt: 0 }),
      digestOf('string', texts('a'), { expireAt: 1700000000000 }),
      digestOf('string', texts('a'), { expireAt: 1700000000001 }),
      ...[[], [''], ['', ''], ['a'], ['a', 'b'], ['b', 'a'], ['ab'], ['a', 'b', ''], ['aa'], ['a', 'a']].map((each) =>
        digestOf('list', texts(...each)),
      ),
      ...[[], [''], ['a'], ['a', 'b'], ['ab'], ['aa']].map((each) => digestOf('set', texts(...each))),
      digestOf('hash', hash()),
      digestOf('hash', hash(['a', 'b'])),
      digestOf('hash', hash(['b', 'a'])),
      digestOf('hash', hash(['ab', ''])),
      digestOf('hash', hash(['', 'ab'])),
      digestOf('hash', hash(['a', 'b'], ['c', 'd'])),
      digestOf('hash', hash(['a', 'd'], ['c', 'b'])),
      digestOf('hash', hash(['a', 'b', 0])),
      digestOf('hash', hash(['a', 'b', 1700000000000])),
      digestOf('hash', hash(['a', 'b', 1700000000000], ['c', 'd'])),
      digestOf('hash', hash(['a', 'b'], ['c', 'd', 1700000000000])),
      digestOf('zset', zset()),
      digestOf('zset', zset(['a', 1])),
      digestOf('zset', zset(['a', 2])),
      digestOf('zset', zset(['a', 1], ['b', 2])),
      digestOf('zset', zset(['a', 2], ['b', 1])),
      digestOf('zset', zset(['a', 0.1])),
      digestOf('zset', zset(['a', 0.1 + Number.EPSILON / 8])),
      digestOf('zset', zset(['a', Number.POSITIVE_INFINITY])),
      digestOf('zset', zset(['a', Number.NEGATIVE_INFINITY])),
      ...[
        all(),
        info,
        all(entry(1, 'f', 'v'), info),
        all(entry(2, 'f', 'v'), info),
        all(entry(1, 'v', 'f'), info),
        all(entry(1, 'f', 'v', 'g', 'w'), info),
        all(entry(1, 'f', 'v'), entry(1, 'g', 'w'), info),
        all(entry(1), info),
        all(info, group),
        all(info, group, consumer('c')),
        all(info, group, consumer('d')),
        all(info, group, consumer('c', 9)),
        all(info, group, consumer('c', 7, 9)),
        all(info, group, consumer('c'), consumer('d')),
        all(info, group, (digest) => digest.pending(id(1), 100, 1)),
        all(info, group, (digest) => digest.pending(id(1), 101, 1)),
        all(info, group, (digest) => digest.pending(id(1), 100, 2)),
        all(info, group, (digest) => digest.pending(id(1, 1), 100, 1)),
        all(info, group, consumer('c'), (digest) => digest.owned(id(1)), consumer('d')),
        all(info, group, consumer('c'), consumer('d'), (digest) => digest.owned(id(1))),
      ].map((feed) => digestOf('stream', feed)),
    ];
    expect(new Set(digests).size).toBe(digests.length);
    for (const digest of digests) expect(digest).toMatch(/^[0-9a-f]{32}$/);
  });

  test('sets that differ in one member by one bit', () => {
    const seen = new Set<string>();
    for (let bit = 0; bit < 400; bit++) {
      const member = Buffer.alloc(50);
      member[bit >> 3] = 1 << (bit & 7);
      seen.add(
        digestOf('set', (digest) => {
          for (const each of [Buffer.from('a'), member, Buffer.from('b')]) digest.text(each);
        }),
      );
    }
    expect(seen.size).toBe(400);
  });

  test('members that are swapped between two keys do not cancel out', () => {
    const a = digestOf('set', texts('1', '2'));
    const b = digestOf('set', texts('3', '4'));
    expect(new Set([a, b, digestOf('set', texts('1', '3')), digestOf('set', texts('2', '4'))]).size).toBe(4);
  });

  test('a million elements with as many digests: no two share the first 64 bits', () => {
    const digest = new ContentDigest();
    const seen = new Set<string>();
    const count = 200_000;
    for (let i = 0; i < count; i++) {
      digest.begin('set');
      digest.text(Buffer.from(`member:${i}`));
      seen.add(digest.end().slice(0, 16));
    }
    expect(seen.size).toBe(count);
  });
});

describe('what is covered on demand', () => {
  test('hash fields that expire by a given time are left out on both sides', () => {
    const at = 1700000000000;
    const before = digestOf('hash', hash(['a', '1'], ['b', '2', at], ['c', '3', at + 1]), { aliveAt: at });
    const after = digestOf('hash', hash(['c', '3', at + 1], ['a', '1']), { aliveAt: at });
    expect(before).toBe(after);
    expect(digestOf('hash', hash(['a', '1'], ['c', '3', at + 1], ['b', '2', at]))).not.toBe(before);
  });

  test("a stream's later metadata is covered at its detail only", () => {
    const feed = (entriesAdded: bigint, activeAtMs: number) => (digest: ContentDigest) => {
      digest.streamInfo({ length: 0, lastId: id(1), maxDeletedId: id(0), entriesAdded });
      digest.group();
      texts('g')(digest);
      digest.groupInfo({ lastId: id(1), entriesRead: entriesAdded });
      digest.consumer();
      texts('c')(digest);
      digest.consumerInfo({ seenAtMs: 5, activeAtMs });
    };
    const same = (streamDetail: 1 | 2 | 3, a: [bigint, number], b: [bigint, number]) =>
      digestOf('stream', feed(...a), { streamDetail }) === digestOf('stream', feed(...b), { streamDetail });
    expect(same(1, [1n, 1], [2n, 2])).toBe(true);
    expect(same(2, [1n, 1], [1n, 2])).toBe(true);
    expect(same(2, [1n, 1], [2n, 1])).toBe(false);
    expect(same(3, [1n, 1], [1n, 2])).toBe(false);
  });
});

function shuffle<T>(list: readonly T[]): T[] {
  const random = new Random(1);
  const shuffled = [...list];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
  }
  return shuffled;
}
