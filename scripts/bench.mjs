// What `npm run bench` runs.
import { onThisNode } from './bootstrap/on-this-node.mjs';

onThisNode(() => {
  import('./bench/start.mjs').then((bench) => bench.start(process.argv.slice(2)));
});
