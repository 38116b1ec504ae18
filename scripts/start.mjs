// What `npm start` runs.
import { onThisNode } from './bootstrap/on-this-node.mjs';

onThisNode(() => {
  import('./bootstrap/start-product.mjs').then((product) => product.start(process.argv.slice(2)));
});
