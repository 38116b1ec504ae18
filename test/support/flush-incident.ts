import { setTimeout as sleep } from 'node:timers/promises';
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { WorkflowHandle } from '@temporalio/client';
import { expect } from 'vitest';
import type { Progress } from '../../workflows/run-story.ts';
import { searchAttributes } from '../../workflows/search-attributes.ts';
import { connectTo } from './dataset.ts';
import type { S3Deployment } from './s3-deployment.ts';
import { s3Client } from './s3-store.ts';
import type { RedisServer } from './servers.ts';

/** Redis knows whole seconds only: what is nearer to a backup cannot be told from it. */
export const TOLD_APART_MS = 2_500;

/** Flushes a server (or does what `flush` says). */
export async function flushNow(
  redis: RedisServer,
  [command = '', ...rest]: readonly string[] = ['FLUSHALL'],
): Promise<void> {
  await sleep(TOLD_APART_MS);
  const live = await connectTo(redis);
  await live.call(command, ...rest).finally(() => live.disconnect());
}

/** Flushes a server, starts the runbook for it and waits until it asks a person. */
export async function startIncident(
  on: S3Deployment,
  redis: RedisServer,
  { instance = 'orders', flush = ['FLUSHALL'] }: { instance?: string; flush?: readonly string[] } = {},
): Promise<{ run: WorkflowHandle; waiting: Progress }> {
  await flushNow(redis, flush);
  const run = await on.deployment.client.workflow.start('recoverAccidentalFlush', {
    taskQueue: 'rewind',
    workflowId: `accidental-flush/${instance}`,
    args: [{ instance }],
    typedSearchAttributes: [{ key: searchAttributes.instance, value: instance }],
  });
  return { run, waiting: await untilAsked(run) };
}

/** The run that a command is starting under the id of an instance's runbook: not one that ended before. */
export async function untilRuns({ deployment }: S3Deployment, workflowId: string): Promise<WorkflowHandle> {
  const run = deployment.client.workflow.getHandle(workflowId);
  const state = async () => (await run.describe().catch(() => undefined))?.status.name;
  await expect.poll(state, { timeout: 60_000, interval: 250 }).toBe('RUNNING');
  return run;
}

/** What a run shows once it waits at its gate, or is parked. */
export async function untilAsked(
  run: WorkflowHandle,
  phase = 'waiting-for-approval',
  withinMs = 90_000,
): Promise<Progress> {
  const progress = () => run.query<Progress>('progress').catch(() => undefined);
  let seen: Progress | undefined;
  await expect
    .poll(async () => (seen = await progress()), { timeout: withinMs, interval: 250 })
    .toMatchObject({ phase, gate: {} });
  return seen as Progress;
}

export function approve(run: WorkflowHandle, { gate }: Progress, choice?: string): Promise<unknown> {
  return run.executeUpdate('approve', { args: [{ approver: 'a test', plan: gate?.plan, choice }] });
}

/** The newest report of an instance, as the repository has it. */
export async function lastReport(
  { store }: S3Deployment,
  instance: string,
): Promise<{ outcome: string; summary: string }> {
  const client = s3Client(store);
  try {
    const Prefix = `${store.prefix}/incidents/${instance}/`;
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: store.bucket, Prefix }));
    const reports = Contents.filter(({ Key }) => Key?.endsWith('.json'));
    const newest = reports.sort((a, b) => Number(b.LastModified) - Number(a.LastModified))[0];
    const { Body } = await client.send(new GetObjectCommand({ Bucket: store.bucket, Key: newest?.Key }));
    return JSON.parse((await Body?.transformToString()) ?? '');
  } finally {
    client.destroy();
  }
}

/** An incident is over: rights as they were, no user and no connection of our own, no run but those named, no open fence. */
export async function nothingStays(
  on: S3Deployment,
  redis: RedisServer,
  rights: readonly string[],
  endless: readonly string[] = [],
): Promise<void> {
  const live = await connectTo(redis);
  try {
    await expect.poll(() => live.call('ACL', 'LIST'), { timeout: 30_000 }).toEqual(rights);
    const ours = async () => String(await live.client('LIST')).match(/user=rewind-\S*/g);
    await expect.poll(ours, { timeout: 30_000 }).toBeNull();
    const { client } = on.deployment;
    const running = async () => (await client.workflow.count("ExecutionStatus = 'Running'")).count;
    await expect.poll(running, { timeout: 60_000 }).toBe(endless.length);
    expect(await openFences(on)).toEqual([]);
  } finally {
    live.disconnect();
  }
}

async function openFences({ store }: S3Deployment): Promise<string[]> {
  const client = s3Client(store);
  try {
    const Prefix = `${store.prefix}/fences/`;
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: store.bucket, Prefix }));
    const keys = Contents.map(({ Key }) => Key as string);
    const begun = keys.filter((key) => key.endsWith('/fence.json'));
    return begun.filter((key) => !keys.includes(key.replace(/fence\.json$/, 'end.json')));
  } finally {
    client.destroy();
  }
}

/** Ends whatever incident is still open, as an operator would. */
export async function endIncident(on: S3Deployment, instance = 'orders'): Promise<void> {
  const run = on.deployment.client.workflow.getHandle(`accidental-flush/${instance}`);
  const { status } = await run.describe().catch(() => ({ status: undefined }));
  if (status?.name === 'RUNNING') await run.terminate('the test is over');
  if ((await openFences(on)).length > 0) await on.deployment.cli('unfence', instance);
}
