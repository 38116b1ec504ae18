import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetObjectCommand, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';
import type { WorkflowHandle } from '@temporalio/client';
import proto from '@temporalio/proto';
import { expect } from 'vitest';
import { type Operator, operate } from './chaos-operator.ts';
import { scenes } from './chaos-scenes.ts';
import type { ChaosCase, Victim } from './chaos-table.ts';
import { type BringBack, type ChaosWorld, HEARTBEAT_MS, type Instance } from './chaos-world.ts';
import { dataDigest } from './data-digest.ts';
import { connectTo } from './dataset.ts';
import { lookAround } from './left-as-found.ts';
import { untilStep } from './run-steps.ts';
import { s3Client } from './s3-store.ts';
import { untilEqual } from './until-equal.ts';

/** For a run on a machine that others use, in milliseconds. */
const RUN_MS = 200_000;
/** A pause or a cut ends when the step was given out again, or after this, in milliseconds. */
const HELD_MS = { least: 1.6 * HEARTBEAT_MS, most: 5 * HEARTBEAT_MS };
/** Of the orchestrator's decisions: one that was killed in the midst of a decision is waited for so long, in milliseconds. */
const DECISION_MS = 3_000;

export interface ChaosResult {
  /** Steps that waited for a person after the fault. */
  readonly retried: readonly string[];
}

/**
 * One case: the damage, the runbook, the fault in its midst. Afterwards the data is what it has to be, the rights are as
 * before, nothing is left, nobody owns the instance, and there is one report.
 */
export async function runCase(world: ChaosWorld, chaos: ChaosCase): Promise<ChaosResult> {
  const { on } = world;
  const { client } = on.deployment;
  const scene = scenes[chaos.runbook];
  const { instance } = scene;
  const server = world.server(instance);
  const around = await lookAround(on.scene(instance));
  const before = {
    rights: await rightsOf(world, instance),
    files: await filesOfRoles(world),
    reports: await reportsOf(world, instance),
  };
  const expected = await scene.damage(world);

  const approving = Promise.withResolvers<void>();
  const back = Promise.withResolvers<void>();
  const run = await client.workflow.start(scene.workflow, {
    taskQueue: 'rewind',
    workflowId: `chaos/${chaos.runbook}-${randomUUID()}`,
    args: [scene.input],
    workflowTaskTimeout: DECISION_MS,
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
    const bringBack = await faults[chaos.fault](world, chaos.victim, instance);
    approving.resolve();
    if (chaos.fault !== 'kill -9') await held(run, chaos);
    await bringBack();
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
  const reports = (await reportsOf(world, instance)).filter((each) => !before.reports.includes(each));
  const outcomes = await Promise.all(reports.map((directory) => outcomeOf(world, directory)));
  expect(outcomes, 'reports').toEqual(Array.from({ length: scene.reports }, () => 'recovered'));
  // A server that the agent has started stays, and has the environment of the agent.
  await around.nothingIsLeft(`127.0.0.1:${server.port}`);
  await untilEqual(() => filesOfRoles(world), before.files);
  const owner = client.workflow.getHandle(`owner/${instance}`);
  await untilEqual(async () => (await owner.describe()).status.name === 'RUNNING', false);
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
  while ((await pendingOf(run, step))?.state === SCHEDULED) await sleep(30);
  if (step !== 'migrateKeys') return;
  const live = await connectTo(world.server(scenes[runbook].instance));
  try {
    while ((await live.dbsize()) < 300 && (await pendingOf(run, step))) await sleep(30);
  } finally {
    live.disconnect();
  }
}

const faults: Readonly<
  Record<ChaosCase['fault'], (world: ChaosWorld, victim: Victim, instance: Instance) => Promise<BringBack>>
> = {
  'kill -9': (world, victim, instance) => world.kill(victim, instance),
  pause: (world, victim, instance) => world.pause(victim, instance),
  silence: (world, victim, instance) => world.cut(victim, instance, 'silence'),
  refusal: (world, victim, instance) => world.cut(victim, instance, 'refusal'),
};

/** Longer than the heartbeat timeout: Temporal takes the agent for dead, and it is not. */
async function held(run: WorkflowHandle, { victim, fault, step }: ChaosCase): Promise<void> {
  const since = Date.now();
  // Only then is the step given out anew meanwhile; a Temporal that stands still gives out nothing.
  const isParted = victim === 'agent' || (victim === 'temporal' && fault !== 'pause');
  for (;;) {
    const lasted = Date.now() - since;
    if (lasted > HELD_MS.most || (lasted > HELD_MS.least && !isParted)) return;
    if (lasted > HELD_MS.least && ((await pendingOf(run, step))?.attempt ?? 2) > 1) return;
    await sleep(100);
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

/** The directories of an instance's reports. */
async function reportsOf({ on: { store } }: ChaosWorld, instance: Instance): Promise<string[]> {
  const Prefix = `${store.prefix}/incidents/${instance}/`;
  const request = new ListObjectsV2Command({ Bucket: store.bucket, Prefix, Delimiter: '/' });
  const { CommonPrefixes = [] } = await inStore(store, (client) => client.send(request));
  return CommonPrefixes.map((each) => each.Prefix as string);
}

/** By its last revision. */
async function outcomeOf({ on: { store } }: ChaosWorld, directory: string): Promise<unknown> {
  return inStore(store, async (client) => {
    const listed = await client.send(new ListObjectsV2Command({ Bucket: store.bucket, Prefix: directory }));
    const documents = (listed.Contents ?? []).map(({ Key }) => Key as string).filter((key) => key.endsWith('.json'));
    // `report-2.json` is later than `report.json`, but sorts before it.
    const last = documents.sort((a, b) => a.length - b.length || a.localeCompare(b)).at(-1);
    const { Body } = await client.send(new GetObjectCommand({ Bucket: store.bucket, Key: last }));
    return JSON.parse((await Body?.transformToString()) ?? '').outcome;
  });
}

async function inStore<T>(store: ChaosWorld['on']['store'], ask: (client: S3Client) => Promise<T>): Promise<T> {
  const client = s3Client(store);
  try {
    return await ask(client);
  } finally {
    client.destroy();
  }
}
