import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isAlive } from '../../process/process-identity.ts';
import { findOnPath } from '../../process/program-path.ts';
import { descendants } from '../support/descendants.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';
import { untilGone } from '../support/until-gone.ts';

const npm = findOnPath('npm', process.env.PATH);
// Some 15 s on an idle machine of two cores.
const upWithinMs = 120_000;

let home: TemporaryFolder;
let running: ChildProcess[];
beforeEach(async () => {
  home = await temporaryFolder('home');
  running = [];
});
afterEach(async () => {
  for (const each of running) if (each.exitCode === null) each.kill('SIGKILL');
  await home.remove();
});

interface Start {
  readonly npm: ChildProcess & { pid: number };
  said(): string;
  /** npm itself, and everything below it: start.mjs, `rewind up`, the workers, the servers and their leashes. */
  pids(): number[];
}

/** `npm start` with a state folder of its own, in a process group of its own, as from a terminal. */
function npmStart(more: NodeJS.ProcessEnv = {}): Start {
  const env = Object.entries(process.env).filter(([name]) => !/^(npm_|REWIND_)/.test(name));
  const child = spawn(npm as string, ['start'], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...Object.fromEntries(env), REWIND_HOME: home.path, ...more },
  }) as Start['npm'];
  running.push(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text) => (said += text));
  return {
    npm: child,
    said: () => said,
    pids: () => [child.pid, ...descendants(child.pid).map((each) => each.pid)],
  };
}

async function upAndRunning(): Promise<Start> {
  const start = npmStart();
  // Two streams: either may be heard first.
  const isUp = () => [/verified: \d+ keys/, /\bUp\. /].every((each) => each.test(start.said()));
  const deadline = Date.now() + upWithinMs;
  while (!isUp()) {
    if (start.npm.exitCode !== null || Date.now() > deadline) throw new Error(`not up, it said: ${start.said()}`);
    await sleep(100);
  }
  const commands = descendants(start.npm.pid).map((each) => each.args);
  for (const expected of [/redis-server/, /temporal server start-dev/, /leash-main/, /--role host/]) {
    expect(commands).toContainEqual(expect.stringMatching(expected));
  }
  return start;
}

const tickets = () => readdirSync(join(home.path, 'lock'));

describe.skipIf(npm === undefined)('npm start', { timeout: 3 * upWithinMs }, () => {
  test('leaves nothing running on Ctrl-C; a second one in the same state folder before that says so and exits 1', async () => {
    const first = await upAndRunning();
    const all = first.pids();
    const second = npmStart();
    expect((await once(second.npm, 'exit'))[0]).toBe(1);
    expect(second.said()).toMatch(/STATE_LOCKED.*process \d+ works in /);
    expect(all.filter((pid) => !isAlive(pid))).toEqual([]);

    process.kill(-first.npm.pid, 'SIGINT');
    await once(first.npm, 'exit');
    expect(await untilGone(all, 20_000)).toEqual([]);
    expect(tickets()).toEqual([]);
  });

  test('starts a worker that was killed -9 again, and stays up', async () => {
    const start = await upAndRunning();
    const hosts = () => descendants(start.npm.pid).filter((each) => each.args.includes('--role host'));
    const killed = hosts()[0]?.pid as number;
    process.kill(killed, 'SIGKILL');
    await expect
      .poll(start.said, { timeout: upWithinMs })
      .toContain('the host worker ended (killed); it is started again');
    const another = () => hosts().some(({ pid }) => pid !== killed);
    await expect.poll(another, { timeout: upWithinMs }).toBe(true);
    expect(start.npm.exitCode).toBeNull();
    const all = start.pids();
    process.kill(-start.npm.pid, 'SIGINT');
    await once(start.npm, 'exit');
    expect(await untilGone(all, 30_000)).toEqual([]);
  });

  test('leaves nothing running when npm is killed -9; the next start is not blocked, and a closed terminal ends that', async () => {
    const first = await upAndRunning();
    const all = first.pids();
    first.npm.kill('SIGKILL');
    expect(await untilGone(all, 30_000)).toEqual([]);

    const next = await upAndRunning();
    const nextAll = next.pids();
    process.kill(-next.npm.pid, 'SIGHUP');
    expect(await untilGone(nextAll, 20_000)).toEqual([]);
  });

  test('leaves nothing running when it is killed -9 while parts are still being fetched', async () => {
    const start = npmStart({ XDG_CACHE_HOME: join(home.path, 'cache') });
    const fetching = /apt-get|go (mod|install|build)|pip download/;
    const isFetching = () => descendants(start.npm.pid).some((each) => fetching.test(each.args));
    await expect.poll(isFetching, { timeout: upWithinMs, interval: 20 }).toBe(true);
    const all = start.pids();
    start.npm.kill('SIGKILL');
    expect(await untilGone(all, 30_000)).toEqual([]);
  });

  test.for([
    ['the script that npm runs', 'scripts/start.mjs'],
    ['rewind up', 'cli/main.ts up'],
  ] as const)('leaves nothing running when %s is killed -9', async ([, command]) => {
    const start = await upAndRunning();
    const all = start.pids();
    const victim = descendants(start.npm.pid).find((each) => each.args.includes(command));
    process.kill(victim?.pid as number, 'SIGKILL');
    expect(await untilGone(all, 30_000)).toEqual([]);
  });
});
