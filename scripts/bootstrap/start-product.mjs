import { runToEnd } from './child.mjs';
import { ensureNodeDependencies } from './node-dependencies.mjs';

/**
 * Installs node_modules where they are missing, then runs `rewind up` with the arguments given, to its end. What else is needed, `up`
 * knows from the configuration and has provided: a Temporal that is configured is not built here.
 */
export async function start(args) {
  try {
    const node = await ensureNodeDependencies();
    process.exitCode = await runToEnd(node, ['cli/main.ts', 'up', ...args], {});
  } catch (error) {
    process.stderr.write(`redis-rewind: ${error.message}\n`);
    process.exitCode = 1;
  }
}
