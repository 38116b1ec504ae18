import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { FollowFigures } from '../../archive/follow/follow-options.ts';
import { connectRedis } from '../../redis/connection.ts';
import { openRepository } from '../../repository/open.ts';
import type { Progress } from '../../workflows/run-story.ts';
import { chainedBytes, followable, readArchive, until } from '../support/archive.ts';
import { type Deployment, startDeployment } from '../support/deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

let folder: TemporaryFolder;
let servers: RedisServer[];
let on: Deployment;

beforeAll(async () => {
  folder = await temporaryFolder('ship-aof');
  servers = await Promise.all([startRedis({ config: followable }), startRedis({ config: followable })]);
  on = await startDeployment({
    temporal: inject('temporal'),
    config: configuration(true),
    roles: ['orchestrator', 'host'],
  });
});
afterAll(async () => {
  await on?.stop();
  for (const server of servers ?? []) await server.stop();
  await folder?.remove();
});

const configuration = (archive: boolean) => ({
  repository: { url: pathToFileURL(join(folder.path, 'store')).href },
  instances: {
    orders: { url: servers[0]!.url, archive: archive && { segmentEvery: '200ms' } },
    payments: { url: servers[1]!.url, dataClass: 'audit-log' as const, archive: archive && { segmentEvery: '200ms' } },
  },
});
const repository = () => openRepository({ url: pathToFileURL(join(folder.path, 'store')).href, pathStyle: false });

test('apply starts an archive for each instance that has one on; it outlives its agent, and apply ends it', async () => {
  const applied = await on.cli('apply');
  expect(applied.stdout, applied.stderr).toContain('archives: 2 started');
  expect((await on.cli('apply')).stdout).toContain('archives: 2 as they were');
  const run = on.client.workflow.getHandle('ship-aof/orders');
  const redis = await connectRedis(servers[0]!);
  const shipped = (text: string) =>
    until(`${text} is in the archive`, async () =>
      (await readArchive(await repository())).segments.some(({ body }) => Buffer.from(body).includes(text)),
    );
  await redis.set('before the kill', '1');
  await shipped('before the kill');
  expect(await run.query<Progress>('progress')).toMatchObject({ phase: 'archiving', step: 'followAof' });
  const beat = await until('figures in a heartbeat', async () => {
    const { raw } = await run.describe();
    const [details] = raw.pendingActivities?.[0]?.heartbeatDetails?.payloads ?? [];
    const told = details?.data && (JSON.parse(Buffer.from(details.data).toString()) as { cursor?: FollowFigures });
    // The first ones are from before it knew where to go on.
    return told && told.cursor?.timeline === 1 ? told.cursor : undefined;
  });
  expect(beat).toMatchObject({ state: 'following', dropped: 0, gaps: 0 });

  await on.kill9('host');
  await redis.set('while the agent is dead', '2');
  await on.start('host');
  await redis.set('after it came again', '3');
  await shipped('after it came again');
  redis.disconnect();
  const held = await readArchive(await repository());
  expect(held.timelines.length).toBe(1);
  expect(held.events).toEqual([]);
  expect(chainedBytes(held, 1).includes('while the agent is dead')).toBe(true);

  const off = await on.writeConfig(configuration(false));
  const ended = await on.cli('apply', '--config', off);
  expect(ended.stdout, ended.stderr).toContain('archives: 2 stopped');
  await until('both have ended', async () => {
    const states = await Promise.all(
      ['orders', 'payments'].map((name) => on.client.workflow.getHandle(`ship-aof/${name}`).describe()),
    );
    return states.every(({ status }) => status.name === 'CANCELLED');
  });
  const { events } = await run.fetchHistory();
  expect(JSON.stringify(events).length).toBeLessThan(40_000);
});
