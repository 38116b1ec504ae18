import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { planDigest } from '../../workflows/plan-digest.ts';
import { sha256 } from '../../workflows/sha256.ts';

const nodes = (text: string) => createHash('sha256').update(text, 'utf8').digest('hex');

describe('SHA-256 without node:crypto', () => {
  it('gives what FIPS 180-4 gives for its own example', () => {
    expect(sha256('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });

  it('agrees with Node’s for every length around its blocks, and for every kind of character', () => {
    for (let length = 0; length <= 260; length += 1) {
      const text = Array.from({ length }, (_, at) => String.fromCharCode(33 + ((at * 7 + length) % 90))).join('');
      expect(sha256(text)).toBe(nodes(text));
    }
    for (const text of ['é', '€ 3', '🔑🔥', '\u0000\u007f\u0080\u07ff\u0800\uffff', 'x'.repeat(100_000), 'a\ud800b']) {
      expect(sha256(text)).toBe(nodes(text));
    }
  });
});

describe('the digest of a plan', () => {
  it('is the same whatever the order of its keys, and without what JSON does not carry', () => {
    expect(planDigest({ a: 1, b: { c: [1, { d: 2, e: undefined }] } })).toBe(
      planDigest({ b: { c: [1, { d: 2 }] }, f: undefined, a: 1 }),
    );
  });

  const plan = { backup: 'id-1', keys: 10, conflicts: [3, 4], into: null };
  it.for([
    { ...plan, keys: 11 },
    { ...plan, keys: '10' },
    { ...plan, conflicts: [4, 3] },
    { ...plan, into: 'live' },
    { backup: 'id-1', keys: 10, conflicts: [3, 4] },
    [plan],
    undefined,
  ])('is another when anything of it is: %j', (changed) => {
    expect(planDigest(changed)).not.toBe(planDigest(plan));
  });

  it('takes whatever a step returns', () => {
    expect(planDigest({ keys: 10n })).toBe(planDigest({ keys: '10' }));
    expect(planDigest(undefined)).toMatch(/^[0-9a-f]{16}$/);
    expect(planDigest({ at: new Date(0) })).toBe(planDigest({ at: '1970-01-01T00:00:00.000Z' }));
  });
});
