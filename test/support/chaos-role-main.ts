// A role that has loaded all of its code and waits to be told that it is needed: it then starts in a moment.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What it is told. */
export interface RoleOrder {
  readonly cwd: string;
  readonly env: Record<string, string>;
  readonly args: readonly string[];
}

const [, , built = ''] = process.argv;
const module = (name: string) => pathToFileURL(join(built, 'dist', 'cli', name)).href;

process.once('disconnect', () => process.exit(1));
process.once('message', async ({ cwd, env, args }: RoleOrder) => {
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, env);
  process.chdir(cwd);
  process.argv.splice(1, process.argv.length, join(built, 'dist', 'cli', 'main.js'), ...args);
  process.removeAllListeners('disconnect');
  await import(module('main.js'));
});
await import(module('worker.js'));
process.send?.('warm');
