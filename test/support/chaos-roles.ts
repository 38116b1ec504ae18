import { type ChildProcess, execFile, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bundleWorkflows } from '../../scripts/build/workflow-bundle.ts';
import type { RoleOrder } from './chaos-role-main.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** Roles that start in a moment: the published form of the product, and processes that have loaded it before they are needed. */
export interface WarmRoles {
  launch(order: RoleOrder): ChildProcess;
  stop(): Promise<void>;
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const main = fileURLToPath(new URL('./chaos-role-main.ts', import.meta.url));
const execute = promisify(execFile);

/** @param spares how many wait */
export async function warmRoles(spares: number): Promise<WarmRoles> {
  const folder = await temporaryFolder('built');
  const built = folder.path;
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const project = join(root, 'tsconfig.build.json');
  // What somebody else is at work on need not be right in its types to run; what is not there at all is said.
  await execute(process.execPath, [compiler, '-p', project, '--outDir', join(built, 'dist')]).catch((error) => {
    if (!existsSync(join(built, 'dist', 'cli', 'main.js'))) throw error;
  });
  await writeFile(join(built, 'dist', 'workflow-bundle.js'), await bundleWorkflows(root));
  await copyFile(join(root, 'package.json'), join(built, 'package.json'));
  await symlink(join(root, 'node_modules'), join(built, 'node_modules'));

  const waiting: { child: ChildProcess; warm: Promise<unknown> }[] = [];
  const all = new Set<ChildProcess>();
  const cache = { NODE_COMPILE_CACHE: join(built, 'compile-cache') };
  const warmUp = () => {
    const child = fork(main, [built], {
      execArgv: [],
      env: { ...process.env, ...cache },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    all.add(child);
    child.once('exit', () => all.delete(child));
    const warm = new Promise((resolve) => child.once('message', resolve));
    return { child, warm };
  };
  for (let at = 0; at < spares; at += 1) waiting.push(warmUp());
  return {
    launch: (order) => {
      const { child, warm } = waiting.shift() ?? warmUp();
      const told = { ...order, env: { ...order.env, ...cache } };
      // It may be killed before it is asked for anything.
      warm.then(() => child.connected && child.send(told, () => undefined));
      child.once('message', () => waiting.length < spares && waiting.push(warmUp()));
      return child;
    },
    stop: async () => {
      for (const child of all) child.kill('SIGKILL');
      await folder.remove();
    },
  };
}
