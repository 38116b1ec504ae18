import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { stringify } from 'yaml';
import { freePort } from '../../process/free-port.ts';
import type { Progress } from '../../workflows/run-story.ts';
import { type GateWorker, startGateWorker, untilAsked } from '../support/gate-worker.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const cli = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
const temporal = inject('temporal');
const me = `${userInfo().username}@${hostname()}`;
let on: GateWorker;
let folder: TemporaryFolder;
let config: string;

beforeAll(async () => {
  on = await startGateWorker(temporal);
  folder = await temporaryFolder('cli-approve');
  config = await writeConfig(temporal);
});
afterAll(async () => {
  await on?.stop();
  await folder?.remove();
});

async function writeConfig({ address, namespace }: { address: string; namespace: string }): Promise<string> {
  const path = join(folder.path, `${randomUUID()}.yaml`);
  const repository = { url: pathToFileURL(join(folder.path, 'repository')).href };
  const instances = { orders: { url: 'redis://127.0.0.1:1' } };
  await writeFile(path, stringify({ temporal: { address, namespace }, repository, instances }));
  return path;
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command as a script types it, or on a terminal of its own with something typed into it. */
function rewind(args: string[], typed?: string): Promise<Ended> {
  const command = [process.execPath, cli, '--config', config, ...args];
  const [program, ...rest] =
    typed === undefined
      ? command
      : [
          'script',
          '--quiet',
          '--return',
          '--command',
          command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' '),
          '/dev/null',
        ];
  return new Promise((resolve, reject) => {
    const child = spawn(program as string, rest, {
      cwd: folder.path,
      env: { ...process.env, REWIND_HOME: join(folder.path, 'home') },
      stdio: [typed === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout?.on('data', (chunk) => {
      stdout += chunk;
      // Typed once it is asked for, as a person does.
      if (typed !== undefined && stdout.includes('Type yes to')) child.stdin?.end(`${typed}\n`);
    });
    child.stderr?.on('data', (chunk) => {
      stderr += chunk;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

async function json(
  ...args: string[]
): Promise<{ code: number | null; document: Record<string, unknown> & { error: Record<string, string> } }> {
  const { code, stdout } = await rewind(['--json', ...args]);
  return { code, document: JSON.parse(stdout) };
}

const choices = [
  { id: 'keep-live', text: 'Keep what is live.', loses: 'nothing' },
  { id: 'take-backup', text: 'Take the backup.', loses: '3 keys' },
] as const;
const two = { required: 2, timeoutMs: 600_000 };

describe('rewind approve', () => {
  it('approves what is shown, says what it was counted for, and how many are missing', async () => {
    const run = await on.gated({ approval: two, choices, default: 'keep-live' });
    const gate = await untilAsked(run);
    const first = await rewind(['approve', run.workflowId, '--approver', 'alice', '--reason', 'as agreed']);
    expect(first).toMatchObject({ code: 0 });
    expect(first.stdout).toBe(`${run.workflowId}: alice approved keep-live (1 of 2)\n1 more must approve the same.\n`);
    expect(await json('approve', run.workflowId, '--choice', 'keep-live')).toEqual({
      code: 0,
      document: {
        workflowId: run.workflowId,
        accepted: true,
        gate: 'restore',
        plan: gate.plan,
        approvals: 2,
        required: 2,
        choice: 'keep-live',
        message: `${me} approved keep-live (2 of 2)`,
      },
    });
    const { answers, decisions } = await run.result();
    expect(answers[0]?.approvals.map(({ approver, planNamed, reason }) => [approver, planNamed, reason])).toEqual([
      ['alice', true, 'as agreed'],
      [me, true, undefined],
    ]);
    // The claims are two; that one person typed both is on record.
    expect(decisions.flatMap(({ answer }) => answer?.identity ?? [])).toEqual([me, me]);
  });

  it('the same command again is the same approval; a change of mind and back is counted as such', async () => {
    const run = await on.gated({ approval: two, choices });
    await untilAsked(run);
    for (const choice of ['keep-live', 'take-backup', 'keep-live', 'keep-live']) {
      const { code, document } = await json('approve', run.workflowId, '--choice', choice);
      expect([code, document.choice, document.approvals]).toEqual([0, choice, 1]);
    }
    expect((await untilAsked(run)).approvers).toMatchObject([{ approver: me, choice: 'keep-live' }]);
    await run.terminate();
  });

  it('a run of an instance is found by what it waits for, whatever its id; two are named', async () => {
    const instance = `orders-${randomUUID()}`;
    const run = await on.gated({ instance });
    await untilAsked(run);
    await expect
      .poll(async () => (await rewind(['reject', instance, '--reason', 'not tonight'])).code, { timeout: 60_000 })
      .toBe(0);
    expect((await run.result()).failure).toMatchObject({ message: `${me} rejected restore: not tonight` });
    const several = [await on.gated({ instance }), await on.gated({ instance })];
    for (const each of several) await untilAsked(each);
    let error: Record<string, string> = {};
    await expect
      .poll(async () => ({ error } = (await json('approve', instance)).document).error.message, { timeout: 60_000 })
      .toContain('these wait');
    expect(error.code).toBe('RUN_UNKNOWN');
    for (const each of several) expect(error.message).toContain(each.workflowId);
  });

  it.for([
    ['a stale plan', ['--plan', '0123456789abcdef'], 'is not the one that is shown now'],
    ['an unknown choice', ['--choice', 'both'], 'there is no choice both'],
    ['no choice where there is no default', [], 'a choice is needed'],
  ] as const)('%s is refused with 1 and the reason, and nothing is approved', async ([, options, why]) => {
    const run = await on.gated({ choices });
    await untilAsked(run);
    const { code, document } = await json('approve', run.workflowId, ...options);
    expect(code).toBe(1);
    expect(document.error).toMatchObject({ code: 'ANSWER_REFUSED', message: expect.stringContaining(why) });
    expect((await untilAsked(run)).approvals).toBe(0);
    await run.terminate();
  });

  it('before the gate opens, and after the run has ended, it is refused with what there is to do', async () => {
    const run = await on.gated({ hold: true });
    await expect
      .poll(
        async () =>
          run.query<Progress>('progress').then(
            ({ phase }) => phase,
            () => '',
          ),
        { timeout: 60_000 },
      )
      .toBe('starting');
    expect(await json('approve', run.workflowId)).toMatchObject({
      code: 1,
      document: { error: { code: 'ANSWER_REFUSED', message: expect.stringContaining('asks nothing now') } },
    });
    await run.terminate();
    expect(await json('approve', run.workflowId)).toMatchObject({
      code: 1,
      document: { error: { code: 'ANSWER_REFUSED', message: expect.stringContaining('TERMINATED') } },
    });
  });

  it('a workflow that there is not is wrong usage, and so is a rejection without a reason', async () => {
    expect(await json('approve', `no-such-${randomUUID()}`)).toMatchObject({
      code: 2,
      document: { error: { code: 'RUN_UNKNOWN' } },
    });
    expect((await rewind(['reject', 'anything'])).code).toBe(2);
    expect((await rewind(['retry', 'anything', '--input', '[1]'])).code).toBe(2);
  });

  it('without Temporal it says so, as every command does', async () => {
    const path = await writeConfig({ address: `127.0.0.1:${await freePort()}`, namespace: 'default' });
    const { code, stdout } = await rewind(['--json', '--config', path, 'approve', 'anything']);
    expect(code).toBe(1);
    expect(JSON.parse(stdout).error.code).toBe('TEMPORAL_UNREACHABLE');
  });
});

describe('on a terminal', () => {
  it('the whole of what is approved is shown, and only a typed yes approves it', async () => {
    const run = await on.gated({ choices, default: 'keep-live' });
    const { plan } = await untilAsked(run);
    const refused = await rewind(['approve', run.workflowId, '--choice', 'take-backup'], 'y');
    expect(refused.stdout).toContain('Puts 1 key back.');
    expect(refused.stdout).toMatch(/> take-backup: Take the backup\.\s+loses: 3 keys/);
    expect(refused.stdout).toContain(`Type yes to approve take-backup of the plan ${plan}: `);
    expect(refused.stdout).toContain('Nothing was answered.');
    expect(refused.code).toBe(1);
    expect((await untilAsked(run)).approvals).toBe(0);
    expect((await rewind(['approve', run.workflowId, '--choice', 'take-backup'], 'yes')).code).toBe(0);
    expect((await run.result()).answers[0]).toMatchObject({ choice: 'take-backup' });
  });
});

describe('rewind retry, skip, abort', () => {
  const fail = { code: 'DISK_FULL', message: 'no room on /var/lib/redis' };

  async function parkedRun(more: { safeToSkip?: boolean } = {}) {
    const file = await on.says({ fail });
    const run = await on.parked({ step: { file, rate: 10 }, ...more });
    await untilAsked(run, 'parked');
    return run;
  }

  it('retry takes corrected input', async () => {
    const run = await parkedRun();
    const file = await on.says('');
    expect(await json('retry', run.workflowId, '--input', '{"fiel":"x"}')).toMatchObject({
      code: 1,
      document: { error: { message: 'the step has no input fiel; it has: file, rate, note' } },
    });
    expect(await json('retry', run.workflowId, '--input', JSON.stringify({ file }))).toMatchObject({
      code: 0,
      document: { accepted: true, gate: 'parked', message: `${me}: retry placeFiles` },
    });
    expect((await run.result()).step).toEqual({ file, rate: 10 });
  });

  it('skip where it is safe, and approve is not for it', async () => {
    const run = await parkedRun({ safeToSkip: true });
    expect((await json('approve', run.workflowId)).document.error.message).toBe(
      `${run.workflowId} is parked at placeFiles: retry, skip, abort.`,
    );
    expect((await json('skip', run.workflowId, '--step', 'migrateKeys')).document.error.message).toContain(
      'migrateKeys is not parked',
    );
    expect((await rewind(['skip', run.workflowId, '--step', 'placeFiles'])).code).toBe(0);
    expect((await run.result()).step).toBeUndefined();
  });

  it('abort gives a reason', async () => {
    const run = await parkedRun();
    expect((await rewind(['abort', run.workflowId, '--reason', 'the host is lost', '--approver', 'alice'])).code).toBe(
      0,
    );
    expect((await run.result()).failure?.message).toBe('alice ended it at placeFiles: the host is lost');
  });
});

describe('rewind status', () => {
  const instance = 'orders';

  async function waiting(workflowId: string) {
    const { stdout, code } = await rewind(['--json', 'status', instance]);
    const found = JSON.parse(stdout).instances[instance].waiting;
    return { code, entry: found.find((each: { workflowId: string }) => each.workflowId === workflowId), stdout };
  }

  it('names each run that waits: gate, summary, deadline, approvals and the command that answers it', async () => {
    const gated = await on.gated({ instance, approval: two, choices, default: 'keep-live' });
    const parked = await on.parked({
      instance,
      step: { file: await on.says({ fail: { code: 'X', message: 'y' } }), rate: 1 },
    });
    const gate = await untilAsked(gated);
    await untilAsked(parked, 'parked');
    await expect.poll(async () => (await waiting(parked.workflowId)).entry, { timeout: 60_000 }).toBeDefined();
    const { entry, code } = await waiting(gated.workflowId);
    expect(code).toBe(3);
    expect(entry).toEqual({
      workflowId: gated.workflowId,
      runId: expect.any(String),
      type: 'gatedRun',
      gate: 'restore',
      plan: gate.plan,
      summary: 'Puts 1 key back.',
      choices,
      default: 'keep-live',
      deadline: gate.deadline,
      approvals: 0,
      required: 2,
      command: `rewind approve ${gated.workflowId} --choice keep-live`,
    });
    const { entry: second } = await waiting(parked.workflowId);
    expect(second).toMatchObject({ gate: 'parked', command: `rewind retry ${parked.workflowId}` });
    expect(second).not.toHaveProperty('deadline');
    const { stdout } = await rewind(['status', instance]);
    expect(stdout).toContain(`WAITS FOR YOU ${gated.workflowId}`);
    expect(stdout).toContain(`next: rewind approve ${gated.workflowId} --choice keep-live`);
    await parked.terminate();
  });

  it('without an orchestrator it is still said that it waits; an answer is refused with what to start', async () => {
    const run = await on.gated({ instance });
    await untilAsked(run);
    await expect.poll(async () => (await waiting(run.workflowId)).entry, { timeout: 60_000 }).toBeDefined();
    await on.stopWorker();
    expect((await waiting(run.workflowId)).entry).toMatchObject({
      gate: 'unknown',
      summary: expect.stringContaining('no orchestrator carries it on'),
      command: 'rewind worker --role orchestrator',
    });
    const { code, document } = await json('approve', run.workflowId);
    expect(code).toBe(1);
    expect(document.error).toMatchObject({
      code: 'RUN_SILENT',
      next: expect.stringContaining('temporal workflow signal'),
    });
  });
});
