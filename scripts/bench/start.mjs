import { runToEnd } from '../bootstrap/child.mjs';
import { bootstrap } from '../bootstrap/main.mjs';
import { ensureNodeDependencies } from '../bootstrap/node-dependencies.mjs';

/** Installs what is missing, then runs the benchmarks that the arguments name (default: all), to their end. */
export async function start(args) {
  try {
    const node = await ensureNodeDependencies();
    const { file, missing } = await bootstrap('bench');
    if (missing.length > 0) throw new Error(`the bench needs ${missing.join(' and ')}; see above what to do`);
    process.exitCode = await runToEnd(node, ['scripts/bench/main.ts', ...args], { REWIND_PARTS: file });
  } catch (error) {
    process.stderr.write(`redis-rewind: ${error.message}\n`);
    process.exitCode = 1;
  }
}
