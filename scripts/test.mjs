// What `npm test` runs.
import { onThisNode } from './bootstrap/on-this-node.mjs';

onThisNode(() => {
  import('./bootstrap/test-suite.mjs').then((suite) => suite.test(process.argv.slice(2)));
});
