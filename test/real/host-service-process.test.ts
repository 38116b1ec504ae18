import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { type HostService, type ServiceSurroundings, serviceOf } from '../../host/service.ts';
import { freePort } from '../../process/free-port.ts';
import { isAlive } from '../../process/process-identity.ts';
import { withRedis } from '../../redis/connection.ts';
import { type Flavour, missingFlavour, redisBinary, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { untilGone } from '../support/until-gone.ts';

const flavours: readonly Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];
const undo: (() => unknown)[] = [];
const io = { signal: new AbortController().signal, onProgress: () => undefined };

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

interface Scene {
  readonly service: HostService;
  readonly around: ServiceSurroundings;
  readonly args: string[];
  readonly dir: string;
  /** Of the server that the record names. */
  pid(): Promise<number>;
}

async function scene(flavour: Flavour = 'redis-7.0', more: readonly string[] = []): Promise<Scene> {
  const folder = await temporaryFolder('service');
  const port = await freePort();
  const dir = join(folder.path, 'data');
  await mkdir(dir);
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, ...more];
  const around: ServiceSurroundings = {
    home: join(folder.path, 'home'),
    instance: 'orders',
    target: { url: `redis://127.0.0.1:${port}` },
    redisServerPath: redisBinary(flavour),
  };
  const pid = async () =>
    JSON.parse(await readFile(join(around.home, 'server', 'orders', 'process.json'), 'utf8')).pid as number;
  const service = serviceOf({ process: { args } }, around);
  undo.push(async () => {
    const left = await pid().catch(() => undefined);
    if (left !== undefined && isAlive(left)) process.kill(left, 'SIGKILL');
    if (left !== undefined) await untilGone([left]);
    await folder.remove();
  });
  return { service, around, args, dir, pid };
}

describe.each(flavours)('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour))(
    'starts, is found again by another agent, stops with or without a last dump',
    async () => {
      const { service, around, args, pid } = await scene(flavour, ['--save', '3600 1']);
      expect(await service.state()).toBe('stopped');
      await service.start(io);
      await service.start(io);
      const first = await pid();
      expect(await service.state()).toBe('running');
      await withRedis(around.target, (redis) => redis.set('a', '1'));

      const nextAgent = serviceOf({ process: { args } }, around);
      expect(await nextAgent.state()).toBe('running');
      await nextAgent.start(io);
      expect(await pid()).toBe(first);
      await nextAgent.stop(io, { lastSave: 'always' });
      expect(isAlive(first)).toBe(false);
      expect(await nextAgent.state()).toBe('stopped');
      await nextAgent.stop(io);

      await nextAgent.start(io);
      await withRedis(around.target, (redis) => redis.set('b', '1'));
      await nextAgent.stop(io, { lastSave: 'never' });
      await nextAgent.start(io);
      expect(await withRedis(around.target, (redis) => redis.keys('*'))).toEqual(['a']);
      await nextAgent.stop(io);
    },
  );

  test.skipIf(missingFlavour(flavour))(
    'a dump that cannot be loaded ends the start in the server’s own words',
    async () => {
      const { service, dir } = await scene(flavour);
      const header = flavour === 'valkey-9' ? 'VALKEY080' : 'REDIS0009';
      await writeFile(join(dir, 'dump.rdb'), Buffer.concat([Buffer.from(header), Buffer.alloc(60, 0x55)]));
      await expect(service.start(io)).rejects.toMatchObject({
        code: 'HOST_SERVER_NOT_LOADED',
        message: expect.stringMatching(/ended before it had loaded its data: .*\w{4}/),
      });
      expect(await service.state()).toBe('failed');
      // The system tells a parent after it has told everybody else.
      const exit = async () => (await service.lastExit())?.code ?? (await service.lastExit())?.signal;
      await expect.poll(exit, { timeout: 10_000 }).toBeTruthy();
      expect((await service.lastExit())?.lines.length).toBeGreaterThan(0);
    },
  );
});

test('a start tells how much is loaded, and is not over before all is', async () => {
  const { service, around } = await scene('redis-7.0', [
    '--key-load-delay',
    '1000',
    '--loading-process-events-interval-bytes',
    '1024',
  ]);
  await service.start(io);
  await withRedis(around.target, (redis) =>
    redis.eval("for i=1,1500 do redis.call('SET', 'k'..i, string.rep('x', 2000)..i) end", 0),
  );
  await service.stop(io, { lastSave: 'always' });
  const seen: { done?: number; total?: number }[] = [];
  await service.start({ ...io, onProgress: (progress) => seen.push(progress) });
  expect(await withRedis(around.target, (redis) => redis.dbsize())).toBe(1500);
  expect(seen.length).toBeGreaterThan(2);
  expect(seen.every(({ done, total }) => (done ?? 1) <= (total ?? 0))).toBe(true);
  await service.stop(io);
});

test('bad arguments end the start with what the server said of them', async () => {
  const { service } = await scene('redis-7.0', ['--no-such-setting', 'secret-value']);
  await expect(service.start(io)).rejects.toMatchObject({
    code: 'HOST_SERVER_NOT_LOADED',
    message: expect.stringMatching(/Bad directive/),
  });
});

test('the server outlives the agent that started it, and one killed -9 is told from one that was stopped', async () => {
  const made = await scene();
  const agent = await agentProcess(made);
  await expect.poll(() => made.service.state(), { timeout: 30_000 }).toBe('running');
  await made.service.start(io);
  const pid = await made.pid();
  agent.kill('SIGKILL');
  await once(agent, 'exit');
  expect(isAlive(pid)).toBe(true);
  expect(await withRedis(made.around.target, (redis) => redis.ping())).toBe('PONG');

  process.kill(pid, 'SIGKILL');
  await untilGone([pid]);
  expect(await made.service.state()).toBe('failed');
  // Nobody was there to see it end.
  expect(await made.service.lastExit()).toEqual({ lines: expect.any(Array) });

  await made.service.start(io);
  process.kill(await made.pid(), 'SIGKILL');
  await expect.poll(() => made.service.lastExit(), { timeout: 10_000 }).toMatchObject({ signal: 'SIGKILL' });
  expect(await made.service.state()).toBe('failed');
});

test.skipIf(process.platform !== 'linux')(
  'a server whose agent was killed between starting and recording it is found again, and no second one is started (Linux: /proc)',
  async () => {
    const { service, around, args, pid } = await scene();
    await service.start(io);
    const started = await pid();
    // What such an agent leaves: its start is begun, and there is no record.
    const folder = join(around.home, 'server', 'orders');
    const begun = JSON.stringify({ startedAt: 'then', logFrom: 0, before: [] });
    await writeFile(join(folder, 'start.json'), begun);
    await rm(join(folder, 'process.json'));

    const next = serviceOf({ process: { args } }, around);
    expect(await next.state()).toBe('running');
    await next.start(io);
    expect(await pid()).toBe(started);
    await next.stop(io, { lastSave: 'never' });
    expect(isAlive(started)).toBe(false);
    // Begun by nobody that still runs: another one is started.
    await writeFile(join(folder, 'start.json'), begun);
    await next.start(io);
    expect(await pid()).not.toBe(started);
  },
);

test('a server that somebody else started is neither stopped nor joined by a second one', async () => {
  const { around, args } = await scene();
  const other = await startRedis({ port: Number(new URL(around.target.url).port) });
  undo.push(() => other.stop());
  const service = serviceOf({ process: { args } }, around);
  expect(await service.state()).toBe('stopped');
  await expect(service.start(io)).rejects.toMatchObject({ code: 'HOST_SERVER_NOT_OURS' });
  await expect(service.stop(io)).rejects.toMatchObject({ code: 'HOST_SERVER_NOT_OURS' });
  expect(isAlive(other.pid)).toBe(true);
});

test('a server that is to follow a primary does so from its first moment: it is never one with what its files hold', async () => {
  const primary = await startRedis();
  undo.push(() => primary.stop());
  const { service, around } = await scene();
  await service.start(io, { replicaOf: `127.0.0.1:${primary.port}` });
  const info = await withRedis(around.target, (redis) => redis.info('replication'));
  expect(info).toContain('role:slave');
  expect(info).toContain(`master_port:${primary.port}`);
  await service.stop(io, { lastSave: 'never' });
  // The next start is nobody's replica by that.
  await service.start(io);
  expect(await withRedis(around.target, (redis) => redis.info('replication'))).toContain('role:master');
});

test('a pid that another process has now is never signalled', async () => {
  const { service, around, pid } = await scene();
  await service.start(io);
  await service.stop(io);
  const stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
  undo.push(() => stranger.kill('SIGKILL'));
  const path = join(around.home, 'server', 'orders', 'process.json');
  const read = async () => JSON.parse(await readFile(path, 'utf8'));
  // Its end is noted when its parent hears of it.
  await expect.poll(read, { timeout: 10_000 }).toHaveProperty('exit');
  const record = await read();
  await writeFile(path, JSON.stringify({ ...record, pid: stranger.pid, exit: undefined }));
  expect(await pid()).toBe(stranger.pid);
  expect(await service.state()).toBe('stopped');
  await service.stop(io);
  expect(isAlive(stranger.pid as number)).toBe(true);
});

test('a server whose last save fails stays up, and that is said', async () => {
  const { service, around, dir, pid } = await scene('redis-7.0', ['--save', '3600 1']);
  await service.start(io);
  await withRedis(around.target, (redis) => redis.set('a', '1'));
  // A folder under the dump's name: its rename fails, for root too.
  await mkdir(join(dir, 'dump.rdb'));
  await expect(service.stop(io)).rejects.toMatchObject({ code: 'HOST_SERVER_NOT_STOPPED' });
  expect(isAlive(await pid())).toBe(true);
  expect(await service.state()).toBe('running');
  await service.stop(io, { lastSave: 'never' });
  expect(await service.state()).toBe('stopped');
});

async function agentProcess({ args, around }: Scene): Promise<ChildProcess> {
  const script = fileURLToPath(new URL('../support/service-child.ts', import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify({ process: { args } }), JSON.stringify(around)], {
    stdio: 'ignore',
  });
  undo.push(() => child.kill('SIGKILL'));
  return child;
}
