// What `npm pack` runs first: emits dist/, which is all of the published package that runs. In a checkout nothing reads it.
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflows } from './workflow-bundle.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const dist = join(root, 'dist');

rmSync(dist, { recursive: true, force: true }); // a file whose source is gone would be published for ever
const { status } = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: ['ignore', 2, 2], // standard output belongs to `npm pack --json`
});
if (status !== 0) process.exit(1);
writeFileSync(join(dist, 'workflow-bundle.js'), await bundleWorkflows(root));
