import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { stopSandbox } from '../../restore/files/started-sandbox.ts';
import type { Progress } from '../../workflows/run-story.ts';
import { followable, readArchive, until } from '../support/archive.ts';
import { connectTo } from '../support/dataset.ts';
import { type Deployment, startDeployment } from '../support/deployment.ts';
import { approve, untilAsked } from '../support/flush-incident.ts';
import { commandsOf, shellFor, type TypeLine } from '../support/page-commands.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

/** However busy the machine is. */
const timeout = 900_000;
const lines = commandsOf('ARCHIVE');
const first = lines.findIndex((line) => line.startsWith('npx rewind timeline'));

let folder: TemporaryFolder;
let orders: RedisServer;
let staging: RedisServer;
let on: Deployment;
let typed: TypeLine;
let repository: Repository;

beforeAll(async () => {
  folder = await temporaryFolder('archive-page');
  [orders, staging] = await Promise.all([startRedis({ config: followable }), startRedis()]);
  const url = pathToFileURL(join(folder.path, 'store')).href;
  repository = await openRepository({ url });
  on = await startDeployment({
    temporal: inject('temporal'),
    config: {
      repository: { url },
      // A busy machine is no dead agent.
      timeouts: { heartbeat: '10s' },
      instances: {
        orders: { url: orders.url, archive: { segmentEvery: '200ms' }, host: {} },
        staging: { url: staging.url },
      },
    },
  });
  typed = shellFor(on);
}, timeout);

afterAll(async () => {
  await on?.client.workflow
    .getHandle('ship-aof/orders')
    .terminate()
    .catch(() => undefined);
  const homes = on ? [on.home('sandbox'), join(on.home('sandbox'), 'sandbox')] : [];
  for (const home of homes) {
    for (const name of await readdir(join(home, 'sandboxes')).catch(() => [])) {
      const { id } = JSON.parse(await readFile(join(home, 'sandboxes', name, 'sandbox.json'), 'utf8'));
      await stopSandbox(home, id);
    }
  }
  await on?.stop();
  await Promise.all([orders?.stop(), staging?.stop()]);
  await folder?.remove();
}, timeout);

/** Codes that a command may end with: what looks may find something. */
function ends(line: string): number[] {
  return /^npx rewind (check|status|diff|timeline) /.test(line) ? [0, 3] : [0];
}

/** Types a line, and says yes wherever it comes to a gate. */
async function typeThrough(line: string): Promise<{ code: number; output: string }> {
  let ended = false;
  const typing = typed(line).finally(() => {
    ended = true;
  });
  while (!ended) {
    for await (const { workflowId, type } of on.client.workflow.list({ query: 'ExecutionStatus="Running"' })) {
      if (!/^(restoreToPoint|recover)/.test(type)) continue;
      const run = on.client.workflow.getHandle(workflowId);
      const progress = await run.query<Progress>('progress').catch(() => undefined);
      // Another plan is shown where the world changed meanwhile: that one is answered at the next look.
      if (progress?.gate) await approve(run, progress).catch(() => undefined);
    }
    await sleep(1_000);
  }
  return typing;
}

/** The runbook waits for a person, who types the line behind it. */
async function typeAndReject(line: string, rejection: string): Promise<void> {
  const typing = typed(line);
  await untilAsked(on.client.workflow.getHandle('accidental-flush/orders'), undefined, 240_000);
  const { code, output } = await typed(rejection);
  expect(code, output).toBe(0);
  expect((await typing).code).not.toBe(0);
}

const shipped = (text: string) =>
  expect
    .poll(async () => (await readArchive(repository)).segments.some(({ body }) => Buffer.from(body).includes(text)), {
      timeout: 240_000,
      interval: 500,
    })
    .toBe(true);

it.each(lines.slice(0, first))('docs/ARCHIVE.md, to switch it on: %s', { timeout }, async (line) => {
  const { code, output } = await typed(line);
  expect(ends(line), output).toContain(code);
});

it('docs/ARCHIVE.md: every command behind that, around a flush', { timeout }, async () => {
  const redis = await connectTo(orders);
  await redis.mset('cart:1', 'one', 'cart:2', 'two', 'other', 'kept');
  await shipped('cart:2');
  const { segments } = await readArchive(repository);
  const time = new Date((segments.at(-1)?.header.lastMs as number) + 1).toISOString();
  // Seconds apart, as the times on the page are.
  await until('another second', async () => Date.now() > Date.parse(time) + 1_000);
  await redis.flushall();
  await redis.set('since', 'after the flush');
  await shipped('after the flush');
  const destructive = (await readArchive(repository)).events.find(({ kind }) => kind === 'destructive');
  const laid = join(folder.path, 'laid');
  const left = lines.slice(first);
  for (let line = left.shift(); line !== undefined; line = left.shift()) {
    if (line.startsWith('npx rewind runbook ')) {
      await typeAndReject(line, left.shift() as string);
      continue;
    }
    const here = line
      .replace(/--to \d{4}-[\d:T.Z-]+/, `--to ${time}`)
      .replace("'5m ago'", time)
      .replace(/--to \d{1,9} /, `--to ${destructive?.position} `)
      .replace(/\/var\/lib\/redis-restore\/\w+/, laid);
    const { code, output } = await typeThrough(here);
    expect(ends(line), `${here}\n${output}`).toContain(code);
  }
  expect(await redis.mget('cart:1', 'cart:2', 'since')).toEqual(['one', 'two', 'after the flush']);
  redis.disconnect();
  const other = await connectTo(staging);
  expect(await other.get('other')).toBe('kept');
  other.disconnect();
  expect(await readdir(join(laid, 'appendonlydir'))).toContain('appendonly.aof.manifest');
});
