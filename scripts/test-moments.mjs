// What `npm run test:moments` runs: random moments of a random stream of commands, each restored and compared with a server
// that was told exactly those. A slice of it is a part of `npm test`. REWIND_MOMENTS says how many, REWIND_SEED which (it is
// printed with each).
import { onThisNode } from './bootstrap/on-this-node.mjs';

onThisNode(() => {
  process.env.REWIND_MOMENTS ??= '2000';
  process.env.REWIND_MOMENT_OPERATIONS ??= '6000';
  const file = 'test/real/archive-moments.test.ts';
  import('./bootstrap/test-suite.mjs').then((suite) => suite.test([file, ...process.argv.slice(2)]));
});
