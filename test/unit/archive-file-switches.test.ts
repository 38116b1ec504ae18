import { expect, test } from 'vitest';
import type { AofPlace } from '../../archive/follow/aof-place.ts';
import { FileSwitches } from '../../archive/follow/file-switches.ts';
import type { HeldFile } from '../../archive/follow/held-files.ts';
import type { ServerSigns } from '../../archive/follow/server-watch.ts';

const file = (seq: number) => ({ id: `id-${seq}`, name: `${seq}.incr.aof`, seq, type: 'incr' }) as HeldFile;
const [first, second, third] = [file(1), file(2), file(3)];
const now = (...incrs: HeldFile[]) => ({ incrs });
const signs = (change: Partial<ServerSigns> = {}): ServerSigns => ({
  ...{ name: 'redis', version: '7.0.15', runId: 'one', role: 'primary', replicationId: 'a', offset: 0, keys: 5 },
  ...{ expiredKeys: 0, aofOn: true, rewriting: false, switches: 3, ...change },
});
const nowhere = { runId: 'one', replicationId: 'a' } as AofPlace;

/** Seen while it appended to the first file. */
function seenFirst(change: Partial<ServerSigns> = {}): FileSwitches {
  const switches = new FileSwitches();
  switches.saw(now(first), now(first), signs(change));
  return switches;
}

test('as many commands before and after: nobody switched, and it goes on', () => {
  expect(seenFirst().goesOn(first, second, nowhere, signs())).toBe(true);
});

test.for([
  ['CONFIG SET or REPLICAOF was called', { switches: 4 }],
  ['it is another process', { runId: 'other' }],
  ['it is a replica now', { role: 'replica' }],
  ['it was a replica meanwhile, by its peers', { replicationId: 'b', previousId: 'c' }],
] as const)('%s: it does not go on', ([, change]) => {
  expect(seenFirst().goesOn(first, second, nowhere, signs(change))).toBe(false);
});

test('a new history without one before it is that of a first replica', () => {
  expect(seenFirst().goesOn(first, second, nowhere, signs({ replicationId: 'b' }))).toBe(true);
});

test('what it said when the next file was seen first counts, and not what was called after that', () => {
  const switches = seenFirst();
  switches.saw(now(second), now(second), signs());
  expect(switches.goesOn(first, second, nowhere, signs({ switches: 9 }))).toBe(true);
});

test.for([
  ['while it rewrites: it may have been switched on again just now', { rewriting: true }],
  ['as a replica, whose file a resync ends without a command', { role: 'replica' }],
  ['with the file off', { aofOn: false }],
] as const)('what was seen %s proves nothing', ([, change]) => {
  expect(seenFirst(change).goesOn(first, second, nowhere, signs())).toBe(false);
});

test('a file that was replaced while the server was asked is not the one that it appended to', () => {
  const switches = new FileSwitches();
  switches.saw(now(first), now(second), signs());
  expect(switches.goesOn(first, second, nowhere, signs())).toBe(false);
});

test('what the last follower remembered serves as well, but not that of a later file', () => {
  const switches = new FileSwitches();
  const place = { ...nowhere, switches: 3, lastFile: second.name, lastSeq: second.seq };
  expect(switches.goesOn(second, third, place, signs())).toBe(true);
  expect(switches.goesOn(first, second, { ...place, lastSeq: third.seq }, signs())).toBe(false);
  expect(switches.goesOn(second, third, { ...place, switches: 2 }, signs())).toBe(false);
});
