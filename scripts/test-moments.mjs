// What `npm run test:moments` runs: random moments of random streams of commands, each restored and compared with a server
// that was told exactly those. A slice of it is a part of `npm test`. A line on standard error tells of each stream what was
// shown. REWIND_MOMENTS says how many, REWIND_SEED which (of the first stream: each one's is in its line),
// REWIND_MOMENT_OPERATIONS how long a stream is.
import { accessSync, constants } from 'node:fs';
import { onThisNode } from './bootstrap/on-this-node.mjs';

onThisNode(() => {
  process.env.REWIND_MOMENTS ??= '2000';
  process.env.REWIND_MOMENT_OPERATIONS ??= '300';
  process.env.TMPDIR ??= inMemory();
  const file = 'test/real/archive-moments.test.ts';
  import('./bootstrap/test-suite.mjs').then((suite) => suite.test([file, ...process.argv.slice(2)]));
});

/** Each moment is put on the disk before a server starts on it; nothing here is about disks, and waiting for one is most of it. */
function inMemory() {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return '/dev/shm';
  } catch {
    return '/tmp';
  }
}
