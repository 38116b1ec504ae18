import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { findOnPath } from '../machine.mjs';
import { run } from '../run.mjs';
import { Unavailable } from '../unavailable.mjs';

/** From 1.21 on Go fetches the toolchain that a module asks for. */
const leastGo = 1021;

/**
 * Built here from its own pinned module. The module's hash is pinned; what it is built with is pinned by its go.sum and checked
 * against Go's checksum database.
 * @param {{ module: string, version: string, sum: string, package: string, minutes: string }} pinned
 *   `package` is the command's path below the module, `minutes` what a build takes on two cores
 */
export function goModule({ module, version, sum, package: command, minutes }) {
  return {
    what: `a build of ${module}@${version}, ${minutes} min on two cores`,
    lane: 'go', // one build at a time: each uses every core
    async fill(folder, now) {
      const go = findOnPath('go');
      if (go === undefined) throw new Unavailable('no Go on PATH to build it with');
      const has = /go(\d+)\.(\d+)/.exec((await run(go, ['version'])).stdout);
      if (has === null || Number(has[1]) * 1000 + Number(has[2]) < leastGo) {
        throw new Unavailable(`${go} is ${has?.[0] ?? 'of an unknown version'}: 1.21 or newer is needed`);
      }
      // Pure Go, so no C compiler is needed, and the same program comes out of the same module.
      const env = { ...process.env, CGO_ENABLED: '0', GOBIN: join(folder, 'bin'), GOFLAGS: '', GOWORK: 'off' };
      mkdirSync(env.GOBIN);
      try {
        now('downloading its module');
        const { stdout } = await run(go, ['mod', 'download', '-json', `${module}@${version}`], { cwd: folder, env });
        const got = JSON.parse(stdout).Sum;
        if (got !== sum) throw new Unavailable(`the module's hash is ${got}, not the pinned ${sum}: not used`);
        let compiled = 0;
        await run(go, ['install', '-v', '-trimpath', '-ldflags', '-s -w', `${module}${command}@${version}`], {
          cwd: folder,
          env,
          onLine(line) {
            if (line.startsWith('go: ')) now(line.slice('go: '.length));
            else now(`${++compiled} packages compiled`);
          },
        });
      } catch (error) {
        if (error instanceof Unavailable) throw error;
        throw new Unavailable(error.message);
      }
    },
  };
}
