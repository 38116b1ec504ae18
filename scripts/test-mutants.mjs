// What `npm run test:mutants` runs: 200,000 mutated dumps through the reader, the restore engine and real servers; tens of
// thousands of append-only files through their reader, redis-check-aof and real servers; as many segments, hours and records of
// the archive. A slice of each is a part of `npm test`. REWIND_MUTANTS, REWIND_AOF_MUTANTS and REWIND_ARCHIVE_MUTANTS say how
// many, REWIND_SEED which (it is printed), REWIND_MUTANT_DUMPS names a folder of more dumps to begin with, REWIND_MUTANT_KEEP
// one where faults are kept. With arguments only those files.
import { onThisNode } from './bootstrap/on-this-node.mjs';

onThisNode(() => {
  process.env.REWIND_MUTANTS ??= '200000';
  process.env.REWIND_AOF_MUTANTS ??= '50000';
  process.env.REWIND_ARCHIVE_MUTANTS ??= '50000';
  const all = ['test/real/dump-mutants.test.ts', 'test/real/aof-mutants.test.ts', 'test/unit/archive-fuzz.test.ts'];
  const args = process.argv.slice(2);
  const files = args.some((each) => each.includes('.test.')) ? [] : all;
  import('./bootstrap/test-suite.mjs').then((suite) => suite.test([...files, ...args]));
});
