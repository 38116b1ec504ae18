import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { preflight } from '../../backup/preflight.ts';
import { findingsOf } from '../../check/findings-of.ts';
import { viewInstance } from '../../check/instance-view.ts';
import { parseConfig } from '../../config/load.ts';
import { openInstance } from '../../workers/instance-context.ts';
import { connectTo, fillMegabytes } from '../support/dataset.ts';
import { cannotLimitMemory, memoryGroup } from '../support/memory-group.ts';
import { healthy } from '../support/observed.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const MB = 2 ** 20;
const reason = cannotLimitMemory();

/** The machine has plenty: only the limit of Redis' own group can be what is found. */
describe.skipIf(reason)(`a Redis whose container may take little${reason ? ` (skipped: ${reason})` : ''}`, () => {
  let redis: RedisServer;
  let limited: Awaited<ReturnType<typeof memoryGroup>>;
  let folder: TemporaryFolder;

  beforeAll(async () => {
    [redis, limited, folder] = await Promise.all([startRedis(), memoryGroup(96 * MB), temporaryFolder('limited')]);
    await limited.put(redis.pid);
    await fillMegabytes(redis, 56);
  });
  afterAll(async () => {
    await redis?.stop();
    await limited?.remove();
    await folder?.remove();
  });

  async function agent() {
    const text = JSON.stringify({
      repository: { url: pathToFileURL(`${folder.path}/repository`).href },
      instances: { orders: { url: `redis://127.0.0.1:${redis.port}` } },
    });
    const config = { ...parseConfig(text, { name: 'test', folder: '/', home: '/' }), source: 'file' as const };
    return openInstance({ config, env: {}, home: folder.path })({ instance: 'orders' });
  }

  test('check finds that a save may end it', async () => {
    const context = await agent();
    const view = await viewInstance(context, true);
    expect(view.host?.memory?.limit).toMatchObject({ group: limited.group, limitBytes: 96 * MB });
    const found = findingsOf({ ...healthy(), policy: context.policy, url: view.url, instance: view });
    expect(found.find(({ code }) => code === 'FORK_HEADROOM')?.consequence).toContain(
      `its control group ${limited.group} may take 101 MB`,
    );
  });

  test('every backup of it says so', async () => {
    const live = await connectTo(redis);
    const { findings } = await preflight(live, await agent()).finally(() => live.disconnect());
    expect(findings.join()).toContain(`control group ${limited.group} has`);
  });
});
