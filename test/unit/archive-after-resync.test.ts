import { expect, test } from 'vitest';
import { afterResync, type Resync } from '../../archive/stream/after-resync.ts';
import type { PrimarySigns } from '../../archive/stream/primary-watch.ts';

const [old, other, unknown] = ['a'.repeat(40), 'b'.repeat(40), 'c'.repeat(40)] as const;
const signs: PrimarySigns = {
  ...{ name: 'redis', version: '7.0.15', runId: 'new', role: 'primary', replicationId: other, offset: 0, keys: 5 },
  ...{ expiredKeys: 0, aofOn: false, rewriting: false, switches: 0, startedMs: 0, shuttingDown: false },
  url: 'redis://10.0.0.5:6379',
};
const resync = (change: Partial<Resync>, seen: Partial<PrimarySigns> = {}): Resync => ({
  ...{ archived: { replId: old, offset: 1_000 }, history: old, runId: 'old', known: [old], restarted: false },
  ...{ from: { replId: other, offset: 5_000 }, signs: { ...signs, ...seen } },
  ...change,
});

test('the same history further on: a gap as long as what is missing, and none where nothing is', () => {
  expect(afterResync(resync({ from: { replId: old, offset: 1_400 } }))).toMatchObject({ missed: 400 });
  expect(afterResync(resync({ from: { replId: old, offset: 1_000 } }))).toMatchObject({ missed: 0 });
});

test('the same process with another history: a gap of unknown length', () => {
  const means = afterResync(resync({ runId: 'new' }));
  expect(means).toMatchObject({ how: 'same-timeline', missed: undefined });
});

test('a replica that was promoted and had not received the end: that end is not its past', () => {
  const means = afterResync(resync({}, { previousId: old, previousUpTo: 900 }));
  expect(means).toMatchObject({ how: 'new-timeline', why: 'promotion', undone: 100 });
  expect(afterResync(resync({}, { previousId: old, previousUpTo: 2_000 }))).toMatchObject({ undone: 0 });
});

test('a server that was started from an older dump leaves the archive where that ends; a copied history, too', () => {
  const started = afterResync(resync({ restarted: true }, { previousId: old, previousUpTo: 700 }));
  expect(started).toMatchObject({ why: 'older-file', undone: 300 });
  expect(afterResync(resync({ restarted: true, from: { replId: old, offset: 800 } }))).toMatchObject({ undone: 200 });
});

test('what does not tell where it comes from begins anew; an empty one is said to be empty', () => {
  expect(afterResync(resync({ restarted: true }))).toMatchObject({ why: 'discontinuity', undone: 0 });
  const empty = afterResync(resync({ restarted: true }, { keys: 0 }));
  expect(empty).toMatchObject({ why: 'older-file', note: 'the server came back empty' });
  // A history that the instance had once, though not the one that was archived last.
  const once = resync({ archived: undefined, history: unknown }, { previousId: old });
  expect(afterResync(once)).toMatchObject({ why: 'promotion', undone: 0 });
});
