#!/usr/bin/env node
// The command `rewind`. In a checkout it runs the sources as they stand, in the published package what the build emitted from them.
// Plain JavaScript that an old Node can read too, if only to be told that it is old.
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const sources = new URL('../cli/main.ts', import.meta.url);
const emitted = new URL('../dist/cli/main.js', import.meta.url);

if (!existsSync(sources)) {
  const { engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const [major, minor] = engines.node.match(/\d+/g).map(Number);
  const [ownMajor, ownMinor] = process.versions.node.split('.').map(Number);
  if (ownMajor > major || (ownMajor === major && ownMinor >= minor)) import(emitted.href);
  else fail(`this is Node ${process.versions.node}; Node ${major}.${minor} or newer is needed`);
} else if (!existsSync(new URL('../node_modules', import.meta.url))) {
  fail('nothing is installed in this checkout yet; `npm start` or `npm test` does it, or `npm ci`');
} else if (process.features.typescript) {
  import(sources.href);
} else {
  const pinned = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url));
  if (existsSync(pinned)) runOn(pinned);
  else fail(`this is Node ${process.versions.node}, which does not run TypeScript; \`npm start\` brings one that does`);
}

/** Runs the sources on another Node in this process' place: its signals, its terminal, its exit code. */
async function runOn(node) {
  const { spawn } = await import('node:child_process');
  // Over the channel the command sees it when this process is killed -9.
  const child = spawn(node, [fileURLToPath(sources), ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  // A terminal's Ctrl-C has reached the command by itself; it takes the two for the one that they are.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.once('error', (error) => fail(`${node} cannot be run: ${error.message}`));
  child.once('exit', (code, signal) => {
    process.exitCode = code === null ? 128 + constants.signals[signal] : code;
  });
}

function fail(sentence) {
  console.error(`redis-rewind: ${sentence}`);
  process.exitCode = 1;
}
