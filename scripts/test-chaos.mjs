// What `npm run test:chaos` runs: the chaos table, which is not a part of `npm test`.
import { onThisNode } from './bootstrap/on-this-node.mjs';

onThisNode(() => {
  process.env.REWIND_CHAOS = '1';
  import('./bootstrap/test-suite.mjs').then((suite) => suite.test(['--project', 'chaos', ...process.argv.slice(2)]));
});
