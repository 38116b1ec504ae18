import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { parseInfo } from '../../redis/info.ts';
import type { Progress } from '../../workflows/run-story.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { approve, untilAsked } from '../support/flush-incident.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type SentinelServer, startSentinel } from '../support/sentinel.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { untilGone } from '../support/until-gone.ts';

const names = ['promoted', 'followed', 'copied', 'watched'] as const;
type Name = (typeof names)[number];

/** A node with a replica, each of another case; `watched` has a Sentinel. */
const pairs = {} as Record<Name, { node: RedisServer; replica: RedisServer }>;
let sentinel: SentinelServer;
let on: S3Deployment;

beforeAll(async () => {
  await Promise.all(
    names.map(async (name) => {
      const node = await startRedis({ config: configOf() });
      await fillEveryType(node);
      const replica = await startRedis({ config: { ...configOf(), replicaof: `127.0.0.1 ${node.port}` } });
      await untilFollows(replica, node);
      pairs[name] = { node, replica };
    }),
  );
  sentinel = await startSentinel({
    primaryPort: pairs.watched.node.port,
    config: ['sentinel down-after-milliseconds main 1000', 'sentinel failover-timeout main 10000'],
  });
  on = await startOnS3({
    servers: Object.fromEntries(names.map((name) => [name, pairs[name].node])),
    instance: (name) => ({
      replicas: [`redis://127.0.0.1:${pairs[name as Name].replica.port}`],
      host: { service: { process: { args: argsOf(pairs[name as Name].node) } } },
      ...(name === 'watched'
        ? { replicas: undefined, sentinel: { master: 'main', addresses: [`127.0.0.1:${sentinel.port}`] } }
        : {}),
    }),
  });
}, 120_000);

afterAll(async () => {
  await sentinel?.stop();
  for (const { node, replica } of Object.values(pairs)) {
    // The one that the agent started.
    const pid = await pidOf(node);
    if (pid) process.kill(pid, 'SIGKILL');
    if (pid) await untilGone([pid]);
    await replica.stop();
  }
  await on?.stop();
});

describe('Redis was killed -9 and a copy of its data is elsewhere', { timeout: 180_000 }, () => {
  it('promote: the replica becomes the primary, and the node comes back as its replica', async () => {
    const { replica, node } = pairs.promoted;
    const digest = await killed('promoted');
    const { run, waiting } = await started('promoted');
    const choice = `promote:127.0.0.1:${replica.port}`;
    expect(waiting.gate?.choices.map(({ id }) => id)).toEqual(
      expect.arrayContaining([choice, `dump-from:127.0.0.1:${replica.port}`]),
    );
    expect(await chosen(run, choice)).toMatchObject({ recovered: true });
    expect(await roleOf(replica)).toBe('master');
    await untilFollows(node, replica);
    expect(await dataDigest(replica)).toBe(digest);
    expect(await dataDigest(node)).toBe(digest);
    // From its first moment: it never was a primary with what its files hold.
    expect(await logOf('promoted')).toMatch(/Connecting to MASTER 127\.0\.0\.1:/);
    expect(await logOf('promoted')).not.toMatch(/REPLICAOF .* enabled \(user request/);
  });

  it('replica-of: somebody made the replica the primary already, and what was written there since stays', async () => {
    const { replica, node } = pairs.followed;
    await killed('followed');
    const live = await connectTo(replica);
    await live.replicaof('NO', 'ONE');
    await live.set('written-since', 'yes');
    const digest = await dataDigest(replica);
    const { run, waiting } = await started('followed');
    const choice = `replica-of:127.0.0.1:${replica.port}`;
    const offered = waiting.gate?.choices.map(({ id }) => id) ?? [];
    expect(offered).toContain(choice);
    // A second primary would split the data.
    expect(offered.filter((id) => /^(start-local|promote|backup)/.test(id))).toEqual([]);
    expect(await chosen(run, choice)).toMatchObject({ recovered: true });
    await untilFollows(node, replica);
    expect(await dataDigest(node)).toBe(digest);
    live.disconnect();
  });

  it('dump-from: the node is started from what the replica holds, and the replica follows it again', async () => {
    const { replica, node } = pairs.copied;
    const digest = await killed('copied');
    const { run } = await started('copied');
    expect(await chosen(run, `dump-from:127.0.0.1:${replica.port}`)).toMatchObject({ recovered: true });
    expect(await roleOf(node)).toBe('master');
    expect(await dataDigest(node)).toBe(digest);
    await untilFollows(replica, node);
    expect(await dataDigest(replica)).toBe(digest);
  });

  it('a failover that a Sentinel made: the node follows whom it promoted', async () => {
    const { replica, node } = pairs.watched;
    const digest = await killed('watched');
    await expect.poll(namedBySentinel, { timeout: 60_000, interval: 200 }).toEqual(['127.0.0.1', String(replica.port)]);
    const { run } = await started('watched');
    expect(await chosen(run, `replica-of:127.0.0.1:${replica.port}`)).toMatchObject({ recovered: true });
    await untilFollows(node, replica);
    expect(await dataDigest(node)).toBe(digest);
  });
});

const configOf = () => ({ ...debugAllowed(), 'repl-diskless-sync-delay': '0' });

const argsOf = ({ port, dir }: RedisServer): string[] => [
  ...['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', ''],
  ...['--enable-debug-command', 'local', '--repl-diskless-sync-delay', '0'],
];

/** @returns the digest of before */
async function killed(name: Name): Promise<string> {
  const { node, replica } = pairs[name];
  const digest = await dataDigest(node);
  await expect.poll(() => dataDigest(replica), { timeout: 30_000 }).toBe(digest);
  await node.kill9();
  return digest;
}

async function started(instance: Name): Promise<{ run: WorkflowHandle; waiting: Progress }> {
  const run = await on.deployment.client.workflow.start('recoverNodeCrash', {
    taskQueue: 'rewind',
    workflowId: `node-crash/${instance}`,
    args: [{ instance }],
  });
  return { run, waiting: await untilAsked(run) };
}

/** Chooses at the gate, and again where the world has changed meanwhile; what waits for more than that is at its end here. */
async function chosen(run: WorkflowHandle, choice: string): Promise<unknown> {
  const result = run.result();
  result.catch(() => undefined);
  for (;;) {
    const ended = await Promise.race([result.then((value) => ({ value })), sleep(250)]);
    if (ended) return ended.value;
    const progress = await run.query<Progress>('progress');
    const { phase, gate } = progress;
    const isOffered = gate?.choices.some(({ id }) => id === choice);
    if (phase === 'parked' || (gate && !isOffered)) throw new Error(`it waits: ${JSON.stringify(progress)}`);
    // Shown anew in this very moment: it is asked for again.
    if (gate && gate.approved === undefined) await approve(run, progress, choice).catch(() => undefined);
  }
}

async function replicationOf(server: RedisServer) {
  const live = await connectTo(server).catch(() => undefined);
  if (!live) return {};
  const info = await live.info('replication').catch(() => '');
  live.disconnect();
  return parseInfo(info);
}

async function namedBySentinel(): Promise<unknown> {
  const asking = await connectRedis({ url: `redis://127.0.0.1:${sentinel.port}` });
  return asking.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'main').finally(() => asking.disconnect());
}

const roleOf = async (server: RedisServer) => (await replicationOf(server)).role;

/** Also before the first test, where nothing can be polled for with an expectation. */
async function untilFollows(server: RedisServer, primary: RedisServer): Promise<void> {
  for (const deadline = Date.now() + 60_000; ; await sleep(200)) {
    const { role, master_port, master_link_status } = await replicationOf(server);
    if (role === 'slave' && master_port === String(primary.port) && master_link_status === 'up') return;
    if (Date.now() > deadline) throw new Error(`${server.port} is a ${role} of ${master_port}, ${master_link_status}`);
  }
}

async function pidOf(server: RedisServer): Promise<number | undefined> {
  const live = await connectTo(server).catch(() => undefined);
  if (!live) return undefined;
  const pid = Number(parseInfo(await live.info('server').finally(() => live.disconnect())).process_id);
  return pid || undefined;
}

const logOf = (name: Name) => readFile(join(on.deployment.home('host'), 'host', 'server', name, 'redis.log'), 'utf8');
