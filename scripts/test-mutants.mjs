// What `npm run test:mutants` runs: 200,000 mutated dumps through the reader, the restore engine and real servers. A slice
// of them is a part of `npm test`. REWIND_MUTANTS says how many, REWIND_SEED which (it is printed), REWIND_MUTANT_DUMPS
// names a folder of more dumps to begin with, REWIND_MUTANT_KEEP one where faults are kept.
import { onThisNode } from './bootstrap/on-this-node.mjs';

onThisNode(() => {
  process.env.REWIND_MUTANTS ??= '200000';
  const file = 'test/real/dump-mutants.test.ts';
  import('./bootstrap/test-suite.mjs').then((suite) => suite.test([file, ...process.argv.slice(2)]));
});
