import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { stringify } from 'yaml';
import { foundPart } from '../../process/found-parts.ts';
import { type GateWorker, startGateWorker, untilAsked } from '../support/gate-worker.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const { address, namespace } = inject('temporal');
const page = await readFile(new URL('../../docs/GATES.md', import.meta.url), 'utf8');
const cli = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
const commands = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) => block.trim().split('\n'));
/** The id that the page uses; the suite's Temporal has no other run of that name. */
const named = 'accidental-flush/orders';

let on: GateWorker;
let folder: TemporaryFolder;
beforeAll(async () => {
  on = await startGateWorker({ address, namespace });
  folder = await temporaryFolder('gates-page');
  const repository = { url: pathToFileURL(join(folder.path, 'repository')).href };
  const instances = { orders: { url: 'redis://127.0.0.1:1' } };
  await writeFile(
    join(folder.path, 'rewind.yaml'),
    stringify({ temporal: { address, namespace }, repository, instances }),
  );
});
afterAll(async () => {
  await on?.stop();
  await folder?.remove();
});

/** A line of the page in a shell where both programs are on PATH. */
function typed(line: string): Promise<{ code: number; output: string }> {
  const rewind = `rewind() { '${process.execPath}' '${cli}' "$@"; }`;
  const PATH = `${dirname(foundPart('temporal').path)}:${process.env.PATH}`;
  const env = { PATH, HOME: folder.path, TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace };
  return new Promise((resolve) => {
    execFile('sh', ['-c', `${rewind}\n${line}`], { env, cwd: folder.path, timeout: 120_000 }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code ?? 1) : 0, output: stdout + stderr }),
    );
  });
}

const choices = [{ id: 'keep-live', text: 'Keep what is live.', loses: 'nothing' }];
const isFor = (line: string, ...kinds: string[]) =>
  kinds.some((kind) => line.startsWith(`rewind ${kind} `) || line.includes(`--name ${kind} `));

describe('every command of docs/GATES.md', () => {
  it('there are as many as this test knows', () => {
    const known = commands.filter((line) => isFor(line, 'approve', 'reject', 'retry', 'skip', 'abort'));
    const looks = commands.filter((line) => /^(rewind status|temporal workflow (list|query)) /.test(line));
    expect(known.length + looks.length).toBe(commands.length);
    expect(commands.length).toBeGreaterThan(8);
  });

  it.for(commands.filter((line) => isFor(line, 'approve', 'reject')))('%s', async (line) => {
    const run = await on.gated({ choices }, named);
    await untilAsked(run);
    expect(await typed(line)).toMatchObject({ code: 0 });
    const { failure } = await run.result();
    expect(failure?.code).toBe(isFor(line, 'reject') ? 'GATE_REJECTED' : undefined);
  });

  it.for(commands.filter((line) => isFor(line, 'retry', 'skip', 'abort')))('%s', async (line) => {
    const file = await on.says({ fail: { code: 'DISK_FULL', message: 'no room' } });
    const step = { file, rate: 1, keysPerSecond: 50_000 };
    const run = await on.parked({ step, safeToSkip: true }, named);
    await untilAsked(run, 'parked');
    await on.says('', file);
    expect(await typed(line)).toMatchObject({ code: 0 });
    const { failure, step: done } = await run.result();
    expect(failure?.code).toBe(isFor(line, 'abort') ? 'ABORTED' : undefined);
    if (line.includes('--input')) expect(done).toMatchObject({ keysPerSecond: 20_000 });
  });

  it.for(commands.filter((line) => /^(rewind status|temporal workflow (list|query)) /.test(line)))(
    '%s',
    async (line) => {
      const run = await on.gated({ choices }, named);
      await untilAsked(run);
      await expect
        .poll(async () => (await typed(line)).output, { timeout: 60_000, interval: 1_000 })
        .toMatch(/accidental-flush\/orders|keep-live/);
      await run.terminate();
    },
  );
});
