// What `npm run test:properties` runs: random data sets of every server, restored by every way into every server that
// loads them, equal afterwards. A slice of it is a part of `npm test`. REWIND_PROPERTIES says how many data sets of each
// server, REWIND_SEED which (it is printed with each).
import { onThisNode } from './bootstrap/on-this-node.mjs';

onThisNode(() => {
  process.env.REWIND_PROPERTIES ??= '20';
  const file = 'test/real/restore-properties.test.ts';
  import('./bootstrap/test-suite.mjs').then((suite) => suite.test([file, ...process.argv.slice(2)]));
});
