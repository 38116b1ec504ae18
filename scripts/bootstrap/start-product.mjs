import { runToEnd } from './child.mjs';
import { bootstrap } from './main.mjs';
import { ensureNodeDependencies } from './node-dependencies.mjs';

/** Installs what is missing, then runs `rewind up` with the arguments given, to its end. */
export async function start(args) {
  try {
    const node = await ensureNodeDependencies();
    const { file, missing } = await bootstrap('start');
    if (missing.length > 0) {
      process.stderr.write(`redis-rewind: cannot start without ${missing.join(' and ')}; see above what to do\n`);
      process.exitCode = 1;
      return;
    }
    process.exitCode = await runToEnd(node, ['cli/main.ts', 'up', ...args], { REWIND_PARTS: file });
  } catch (error) {
    process.stderr.write(`redis-rewind: ${error.message}\n`);
    process.exitCode = 1;
  }
}
