import { execFile } from 'node:child_process';
import { dirname } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { foundPart } from '../../process/found-parts.ts';
import type { Progress } from '../../workflows/run-story.ts';
import { type GateWorker, startGateWorker, untilAsked } from '../support/gate-worker.ts';
import type { GatedResult } from '../support/gate-workflows.ts';

const { address, namespace } = inject('temporal');
let on: GateWorker;
beforeAll(async () => {
  on = await startGateWorker({ address, namespace });
});
afterAll(() => on?.stop());

/** A line as somebody pastes it into a shell of their own, which knows where Temporal is. */
function pasted(line: string): Promise<{ code: number; output: string }> {
  const path = `${dirname(foundPart('temporal').path)}:${process.env.PATH}`;
  const env = { PATH: path, HOME: '/nonexistent', TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace };
  return new Promise((resolve) => {
    execFile('sh', ['-c', line], { env, timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, output: stdout + stderr });
    });
  });
}

/** The commands that the page of the run in the Temporal UI offers. */
async function offered(run: WorkflowHandle, name: string): Promise<string> {
  const { currentDetails } = await run.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  const line = currentDetails
    .split('\n')
    .find((each) => each.startsWith('temporal ') && each.includes(`--name ${name} `));
  expect(line, currentDetails).toBeDefined();
  return line as string;
}

const choices = [
  { id: 'keep-live', text: 'Keep what is live.', loses: 'nothing' },
  { id: 'take-backup', text: 'Take the backup.', loses: '3 keys' },
];

it('the command of the page approves, and the identity that the plain command line gave stands beside it', async () => {
  const run = await on.gated({ choices, default: 'take-backup' }, `gates/it's "here" $HOME-${Date.now()}`);
  await untilAsked(run);
  const { code, output } = await pasted(await offered(run, 'approve'));
  expect(output).toContain('accepted:true');
  expect(code).toBe(0);
  const { answers, decisions } = await run.result();
  expect(answers[0]).toMatchObject({ choice: 'take-backup', approvals: [{ approver: 'YOUR NAME', planNamed: true }] });
  expect(decisions.flatMap(({ answer }) => answer?.identity ?? [])[0]).toContain('@');
});

it('a refused one ends with another code than 0, so that no script takes it for an approval', async () => {
  const run = await on.gated({ choices, default: 'keep-live' });
  await untilAsked(run);
  const approve = await offered(run, 'approve');
  const { code, output } = await pasted(approve.replace(/"plan":"[0-9a-f]+"/, '"plan":"0123456789abcdef"'));
  expect(code).not.toBe(0);
  expect(output).toContain('is not the one that is shown now');
  expect((await pasted(await offered(run, 'reject'))).code).toBe(0);
  expect((await run.result()).failure).toMatchObject({
    code: 'GATE_REJECTED',
    message: 'YOUR NAME rejected restore: WHY',
  });
});

it('the same as a signal', async () => {
  const run = await on.gated({ choices, default: 'keep-live' });
  await untilAsked(run);
  const signal = (await offered(run, 'approve')).replace('workflow update execute', 'workflow signal');
  expect((await pasted(signal)).code).toBe(0);
  expect((await run.result()).answers[0]).toMatchObject({ choice: 'keep-live' });
});

it('a parked step is retried and ended by the commands of its page', async () => {
  const file = await on.says({ fail: { code: 'DISK_FULL', message: 'no room' } });
  const run = await on.parked({ step: { file, rate: 1 }, safeToSkip: true });
  const { showing } = await untilAsked(run, 'parked');
  expect((await pasted(await offered(run, 'retry'))).code).toBe(0);
  await expect
    .poll(async () => (await run.query<Progress>('progress')).gate?.showing, { timeout: 60_000 })
    .toBeGreaterThan(showing);
  expect((await pasted(await offered(run, 'abort'))).code).toBe(0);
  expect((await run.result()).failure).toMatchObject({ code: 'ABORTED' });
});

it('what is no JSON at all, sent as a signal, is refused and recorded: the run is not stopped by it', async () => {
  const run = await on.gated();
  await untilAsked(run);
  const { connection, options } = on.client;
  for (const encoding of ['json/plain', 'binary/plain', 'who/knows']) {
    await connection.workflowService.signalWorkflowExecution({
      namespace: options.namespace,
      workflowExecution: { workflowId: run.workflowId },
      signalName: 'approve',
      input: { payloads: [{ metadata: { encoding: Buffer.from(encoding) }, data: Buffer.from('not { json') }] },
    });
  }
  await run.executeUpdate('approve', { args: [{ approver: 'alice' }] });
  const { decisions } = await run.result();
  expect(decisions.flatMap(({ answer }) => answer ?? []).map(({ accepted }) => accepted)).toEqual([
    false,
    false,
    false,
    true,
  ]);
});

it('where nobody says who started the run nobody is kept from approving, and that is told', async () => {
  const workflowId = `gates/${Date.now()}-by-hand`;
  const input = { instance: 'orders', approval: { required: 1, timeoutMs: 600_000, excludeStarter: true } };
  const start = `temporal workflow start --type gatedRun --task-queue ${on.taskQueue} --workflow-id ${workflowId}`;
  expect((await pasted(`${start} --input '${JSON.stringify(input)}'`)).code).toBe(0);
  const run = on.client.workflow.getHandle<() => Promise<GatedResult>>(workflowId);
  await untilAsked(run);
  await run.executeUpdate('approve', { args: [{ approver: 'alice' }] });
  const { decisions, failure } = await run.result();
  expect(failure).toBeUndefined();
  expect(decisions.map(({ message }) => message)).toContain(
    'who started the run is not known, so nobody is kept from approving it',
  );
});
