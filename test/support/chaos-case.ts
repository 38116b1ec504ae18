import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import proto from '@temporalio/proto';
import { expect } from 'vitest';
import { listIncidents } from '../../incident/report/store-report.ts';
import { type Operator, operate } from './chaos-operator.ts';
import { scenes } from './chaos-scenes.ts';
import type { ChaosCase } from './chaos-table.ts';
import type { ChaosWorld, Instance } from './chaos-world.ts';
import { dataDigest } from './data-digest.ts';
import { connectTo } from './dataset.ts';
import { lookAround } from './left-as-found.ts';
import { untilStep } from './run-steps.ts';
import { openTestRepository } from './s3-repository.ts';

/** For a run on a machine that others use, in milliseconds. */
const RUN_MS = 200_000;
/** A pause ends when the step was given out again, or after this, in milliseconds. The deployment's heartbeat timeout is 3 s. */
const PAUSE_MS = { least: 4_500, most: 20_000 };

export interface ChaosResult {
  /** Steps that waited for a person after the fault. */
  readonly retried: readonly string[];
}

/**
 * One case: the damage, the runbook, the fault in its midst. Afterwards the data is what it has to be, the rights are as
 * before, nothing is left, there is one report, and the next backup is verified.
 */
export async function runCase(world: ChaosWorld, chaos: ChaosCase): Promise<ChaosResult> {
  const { on } = world;
  const { client } = on.deployment;
  const scene = scenes[chaos.runbook];
  const { instance } = scene;
  const server = world.server(instance);
  const around = await lookAround(on.scene(instance));
  const before = { rights: await rightsOf(world, instance), files: await filesOfRoles(world) };
  const expected = await scene.damage(world);

  const approving = Promise.withResolvers<void>();
  const back = Promise.withResolvers<void>();
  const run = await client.workflow.start(scene.workflow, {
    taskQueue: 'rewind',
    workflowId: `chaos/${chaos.runbook}-${randomUUID()}`,
    args: [scene.input],
  });
  const operator = operate(run, {
    choice: (gate) => scene.choice?.(gate),
    mayApprove: approving.promise,
    victimIsBack: back.promise,
    deadline: Date.now() + RUN_MS,
  });
  if (chaos.step !== 'gate') approving.resolve();
  let result: unknown;
  try {
    const ended = operator.result();
    ended.catch(() => undefined);
    // A run that ends without the boundary is no proof of anything; one that fails says so itself.
    await Promise.race([untilBoundary(world, run, operator, chaos, ended), ended.then(() => new Promise(() => {}))]);
    if (chaos.fault === 'pause') await pause(world, run, chaos.step);
    else {
      const bringBack = await world.kill(chaos.victim, instance);
      approving.resolve();
      await bringBack();
    }
    back.resolve();
    result = await ended;
  } catch (error) {
    await run.terminate('a case of the chaos table failed').catch(() => undefined);
    throw error;
  } finally {
    approving.resolve();
    back.resolve();
  }
  if (instance === 'node') await world.reviveRedis(instance);

  const digest = scene.restored ? await scene.restored(world, result) : await dataDigest(server);
  expect(digest, 'the data').toBe(expected);
  expect(await rightsOf(world, instance), 'the rights').toEqual(before.rights);
  expect(await reportsOf(world, instance, run.workflowId), 'reports').toEqual(
    Array.from({ length: scene.reports }, () => 'recovered'),
  );
  // A server that the agent has started stays, and has the environment of the agent.
  await around.nothingIsLeft(`127.0.0.1:${server.port}`);
  await expect.poll(() => filesOfRoles(world), { timeout: 30_000, interval: 200 }).toEqual(before.files);
  // The instance has no owner any more, and the fault no after-effect.
  const { backup } = await on.deployment.backup(instance);
  expect(backup).toMatchObject({ state: 'verified' });
  return { retried: operator.retried };
}

async function untilBoundary(
  world: ChaosWorld,
  run: WorkflowHandle,
  operator: Operator,
  { runbook, step, state }: ChaosCase,
  ended: Promise<unknown>,
): Promise<void> {
  if (step === 'gate') {
    const unasked = ended.then(() => Promise.reject(new Error('the run ended and nobody was asked')));
    return Promise.race([operator.asked, unasked]);
  }
  const { client } = world.on.deployment;
  await untilStep(client, run, step, state);
  if (state === 'completed') return;
  // Given out is not yet taken; one that is quicker than this look has ended, which is a moment of its own.
  while ((await pendingOf(run, step))?.state === SCHEDULED) await sleep(10);
  if (step !== 'migrateKeys') return;
  const live = await connectTo(world.server(scenes[runbook].instance));
  try {
    while ((await live.dbsize()) < 300 && (await pendingOf(run, step))) await sleep(10);
  } finally {
    live.disconnect();
  }
}

/** Longer than the heartbeat timeout: Temporal takes the agent for dead, and it is not. */
async function pause(world: ChaosWorld, run: WorkflowHandle, step: string): Promise<void> {
  const pid = world.on.deployment.pid('host');
  const since = Date.now();
  process.kill(pid, 'SIGSTOP');
  try {
    const again = async () => ((await pendingOf(run, step))?.attempt ?? 1) > 1;
    for (;;) {
      const lasted = Date.now() - since;
      if (lasted > PAUSE_MS.most || (lasted > PAUSE_MS.least && (await again()))) return;
      await sleep(100);
    }
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

const SCHEDULED = proto.temporal.api.enums.v1.PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED;

async function pendingOf(run: WorkflowHandle, step: string) {
  const { raw } = await run.describe();
  return raw.pendingActivities?.find(({ activityType }) => activityType?.name === step);
}

async function rightsOf(world: ChaosWorld, instance: Instance): Promise<unknown> {
  const live = await connectTo(world.server(instance));
  return live.call('ACL', 'LIST').finally(() => live.disconnect());
}

/** What each role keeps in its folder; a role that works beside this case has its own temporary files. */
async function filesOfRoles({ on }: ChaosWorld): Promise<string[]> {
  const kept = (['orchestrator', 'host', 'sandbox'] as const).map(async (role) => {
    const home = on.deployment.home(role);
    const entries = await readdir(home, { recursive: true, withFileTypes: true }).catch(() => []);
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => !/\/(tmp|server|identity|compile-cache)\//.test(path.slice(home.length)));
  });
  return (await Promise.all(kept)).flat().sort();
}

/** The outcome of every report of one run, each by its last revision. */
async function reportsOf({ on }: ChaosWorld, instance: Instance, workflowId: string): Promise<unknown[]> {
  Object.assign(process.env, on.store.env);
  const repository = await openTestRepository(on.store);
  const listed = await listIncidents(repository, instance);
  return listed.filter(({ content }) => content?.workflowId === workflowId).map(({ content }) => content?.outcome);
}
