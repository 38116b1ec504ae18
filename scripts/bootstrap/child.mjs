import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { dirname } from 'node:path';
import { root } from './machine.mjs';

/** npm hands a Ctrl-C on although the terminal has sent it to the whole group already: within this time they are one. */
const sameKeyMs = 300;
const parentPollMs = 500;

/**
 * Runs a program of the checkout on the pinned Node to its end, in a process group of its own: a signal reaches this process, which hands
 * it on once. A channel lies between the two; when this process is gone, however it went, the child sees it close.
 * @param {string} node
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env added to this process' own
 * @returns {Promise<number>} its exit code, as a shell would give it
 */
export function runToEnd(node, args, env) {
  return new Promise((settle, fail) => {
    const child = spawn(node, args, {
      cwd: root,
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, PATH: `${dirname(node)}:${process.env.PATH}`, ...env },
    });
    let last = { signal: '', at: 0 };
    const handOn = (signal) => {
      const now = Date.now();
      if (signal === last.signal && now - last.at < sameKeyMs) return;
      last = { signal, at: now };
      child.kill(signal);
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, handOn);
    const stopWatching = watchNpm(() => child.disconnect());
    child.once('error', fail);
    child.once('exit', (code, signal) => {
      stopWatching();
      for (const each of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeListener(each, handOn);
      settle(code ?? 128 + constants.signals[signal]);
    });
  });
}

/**
 * Under `npm start` the one not to outlive is npm: killed -9 it cannot hand anything on, but this process then has another parent.
 * (package.json starts it by `exec`, or that parent would be a shell.)
 */
function watchNpm(onGone) {
  if (process.env.npm_lifecycle_event === undefined) return () => {};
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    onGone();
  }, parentPollMs);
  timer.unref();
  return () => clearInterval(timer);
}
