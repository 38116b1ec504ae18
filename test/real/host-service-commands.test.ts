import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { serviceOf } from '../../host/service.ts';
import { waitLoaded } from '../../host/wait-loaded.ts';
import { freePort } from '../../process/free-port.ts';
import { isAlive } from '../../process/process-identity.ts';
import { withRedis } from '../../redis/connection.ts';
import { randomPassword, redisBinary, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { untilGone } from '../support/until-gone.ts';

const undo: (() => unknown)[] = [];
const io = { signal: new AbortController().signal, onProgress: () => undefined };

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function folder(): Promise<string> {
  const own = await temporaryFolder('service');
  undo.push(() => own.remove());
  return own.path;
}

/** A server that its own command sends to the background, as many start scripts do. */
async function daemonized(more: readonly string[] = []) {
  const dir = await folder();
  const port = await freePort();
  const logFile = join(dir, 'redis.log');
  const pidfile = join(dir, 'redis.pid');
  const endsLater = async () => {
    const pid = Number(await readFile(pidfile, 'utf8').catch(() => 'none'));
    if (pid > 0 && isAlive(pid)) process.kill(pid, 'SIGKILL');
    if (pid > 0) await untilGone([pid]);
  };
  undo.push(endsLater);
  const start = [
    ...[redisBinary(), '--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--daemonize', 'yes'],
    ...['--logfile', logFile, '--pidfile', pidfile, '--save', '3600 1', ...more],
  ];
  const stop = ['sh', '-c', `kill "$(cat '${pidfile}')"`];
  const target = { url: `redis://127.0.0.1:${port}` };
  const around = { home: dir, instance: 'orders', target, logFile, silentMs: 5_000 };
  return { dir, target, around, start, stop, service: serviceOf({ command: { start, stop } }, around) };
}

test('commands start and stop a server; it is running when it answers', async () => {
  const { service, target } = await daemonized();
  expect(await service.state()).toBe('stopped');
  await service.stop(io);
  await service.start(io);
  expect(await service.state()).toBe('running');
  await service.start(io);
  await withRedis(target, (redis) => redis.set('a', '1'));
  await service.stop(io, { lastSave: 'always' });
  expect(await service.state()).toBe('stopped');
  await service.start(io);
  expect(await withRedis(target, (redis) => redis.get('a'))).toBe('1');
  await service.stop(io, { lastSave: 'never' });
});

test('a start command that succeeds although the load fails is found out, in the server’s own words', async () => {
  const { service, dir } = await daemonized();
  await writeFile(join(dir, 'dump.rdb'), Buffer.concat([Buffer.from('REDIS0010'), Buffer.alloc(60, 0x55)]));
  await expect(service.start(io)).rejects.toMatchObject({
    code: 'HOST_SERVER_NOT_LOADED',
    message: expect.stringMatching(/its log ends: .*(RDB|rdb)/),
  });
  expect((await service.lastExit())?.lines.length).toBeGreaterThan(0);
});

test('a command’s words are handed on as they are, no shell reads them', async () => {
  const dir = await folder();
  const seen = join(dir, 'seen');
  const program = join(dir, 'start.mjs');
  await writeFile(
    program,
    `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(seen)}, JSON.stringify(process.argv.slice(2))); process.exit(3);`,
  );
  const words = ['$(touch pwned)', 'two words', '; ls', '*'];
  const around = { home: dir, instance: 'orders', target: { url: `redis://127.0.0.1:${await freePort()}` } };
  const service = serviceOf({ command: { start: [process.execPath, program, ...words], stop: ['true'] } }, around);
  await expect(service.start(io)).rejects.toMatchObject({
    code: 'HOST_COMMAND_FAILED',
    message: expect.stringContaining('ended with 3'),
  });
  expect(JSON.parse(await readFile(seen, 'utf8'))).toEqual(words);
});

test('a program that is not there is named', async () => {
  const around = { home: await folder(), instance: 'orders', target: { url: `redis://127.0.0.1:${await freePort()}` } };
  const service = serviceOf({ command: { start: ['/no/such/program', 'x'], stop: ['true'] } }, around);
  await expect(service.start(io)).rejects.toMatchObject({
    code: 'HOST_COMMAND_FAILED',
    message: expect.stringContaining('/no/such/program x cannot be run'),
  });
});

test('a start command that is the server itself does not hold the start up for ever', async () => {
  const made = await daemonized();
  const start = made.start.map((word, at) => (made.start[at - 1] === '--daemonize' ? 'no' : word));
  const service = serviceOf({ command: { start, stop: made.stop } }, made.around);
  await service.start(io);
  expect(await service.state()).toBe('running');
  await service.stop(io, { lastSave: 'never' });
});

test('a stop command that stops nothing is not believed', async () => {
  const made = await daemonized();
  await made.service.start(io);
  const service = serviceOf({ command: { start: made.start, stop: ['false'] } }, made.around);
  await expect(service.stop(io)).rejects.toMatchObject({ code: 'HOST_COMMAND_FAILED' });
  expect(await service.state()).toBe('running');
});

test('a server that could not be stopped keeps the save points that it had', async () => {
  const made = await daemonized();
  await made.service.start(io);
  const savePoints = () =>
    withRedis(made.target, async (redis) => ((await redis.config('GET', 'save')) as string[])[1]);
  await withRedis(made.target, (redis) => redis.config('SET', 'save', '3600 1 300 100'));
  const service = serviceOf({ command: { start: made.start, stop: ['false'] } }, made.around);
  await expect(service.stop(io, { lastSave: 'never' })).rejects.toMatchObject({ code: 'HOST_COMMAND_FAILED' });
  expect(await savePoints()).toBe('3600 1 300 100');
  await made.service.stop(io, { lastSave: 'never' });
});

test('a server that answers and refuses the login is no server that has not started', async () => {
  const server = await startRedis({ password: randomPassword() });
  undo.push(() => server.stop());
  const target = { url: `redis://127.0.0.1:${server.port}` };
  await expect(waitLoaded(target, {}, io)).rejects.toMatchObject({ code: 'REDIS_REFUSED_LOGIN' });
  expect(await waitLoaded({ ...target, password: server.password }, {}, io)).toMatch(/^[0-9a-f]{40}$/);
});

/** A program named `systemctl` on PATH that notes how it is called and answers what the test lays down. */
async function fakeSystemd(answers: Readonly<Record<string, string>>) {
  const dir = await folder();
  await mkdir(join(dir, 'bin'));
  const calls = join(dir, 'calls');
  await writeFile(join(dir, 'answers.json'), JSON.stringify(answers));
  for (const name of ['systemctl', 'journalctl']) {
    await writeFile(
      join(dir, 'bin', name),
      `#!${process.execPath}
const { appendFileSync, readFileSync } = require('node:fs');
const argv = [${JSON.stringify(name)}, ...process.argv.slice(2)];
appendFileSync(${JSON.stringify(calls)}, JSON.stringify(argv) + '\\n');
const answers = JSON.parse(readFileSync(${JSON.stringify(join(dir, 'answers.json'))}, 'utf8'));
const verb = argv[0] === 'journalctl' ? 'journal' : argv[2];
const answer = answers[verb] ?? '';
if (answer.startsWith('fail:')) { process.stderr.write(answer.slice(5)); process.exit(5); }
process.stdout.write(answer);
`,
    );
    await chmod(join(dir, 'bin', name), 0o755);
  }
  const path = process.env.PATH;
  process.env.PATH = `${join(dir, 'bin')}${delimiter}${path}`;
  undo.push(() => {
    process.env.PATH = path;
  });
  return {
    home: dir,
    answer: (more: Readonly<Record<string, string>>) =>
      writeFile(join(dir, 'answers.json'), JSON.stringify({ ...answers, ...more })),
    calls: async () =>
      (await readFile(calls, 'utf8').catch(() => ''))
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as string[]),
  };
}

const properties =
  '--property=LoadState,ActiveState,SubState,Result,ExecMainCode,ExecMainStatus,ExecMainExitTimestamp,ExecMainPID';
const show = (fields: Readonly<Record<string, string>>) =>
  Object.entries({ LoadState: 'loaded', ActiveState: 'active', ExecMainCode: '0', ...fields })
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');

test('a unit is started, stopped and looked at with these arguments (a fake systemctl)', async () => {
  const server = await startRedis();
  undo.push(() => server.stop());
  const systemd = await fakeSystemd({ show: show({}) });
  const target = { url: `redis://127.0.0.1:${server.port}` };
  const service = serviceOf({ systemd: 'redis-server' }, { home: systemd.home, instance: 'orders', target });
  expect(await service.state()).toBe('running');
  await service.start(io);
  expect(await systemd.calls()).toEqual([
    ['systemctl', '--no-ask-password', 'show', 'redis-server', properties],
    ['systemctl', '--no-ask-password', 'start', 'redis-server'],
  ]);
  await expect(service.stop({ signal: AbortSignal.timeout(2_000) }, { lastSave: 'never' })).rejects.toThrow();
  expect(await withRedis(target, (redis) => redis.config('GET', 'save'))).toEqual(['save', '']);
  expect((await systemd.calls())[3]).toEqual(['systemctl', '--no-ask-password', 'stop', 'redis-server']);
  await systemd.answer({ show: show({ ActiveState: 'inactive' }) });
  expect(await service.state()).toBe('stopped');
});

test('how a unit ended is read from systemd: out of memory, by a signal, with a code (a fake systemctl)', async () => {
  const systemd = await fakeSystemd({ journal: "Fatal: key 'secret' is bad\n" });
  const target = { url: `redis://127.0.0.1:${await freePort()}` };
  const service = serviceOf({ systemd: 'redis-server' }, { home: systemd.home, instance: 'orders', target });
  const ExecMainExitTimestamp = 'Tue 2026-11-24 18:59:11 UTC';
  await systemd.answer({
    show: show({
      ActiveState: 'failed',
      Result: 'oom-kill',
      ExecMainCode: '2',
      ExecMainStatus: '9',
      ExecMainExitTimestamp,
    }),
  });
  expect(await service.state()).toBe('failed');
  expect(await service.lastExit()).toEqual({
    signal: 'SIGKILL',
    oomKilled: true,
    at: '2026-11-24T18:59:11.000Z',
    lines: ['Fatal: key ‹…› is bad'],
  });
  await systemd.answer({
    show: show({ ActiveState: 'failed', Result: 'exit-code', ExecMainCode: '1', ExecMainStatus: '1' }),
  });
  expect(await service.lastExit()).toMatchObject({ code: 1, oomKilled: false });
});

test('a unit that is not there, and one that may not be started, are told in systemd’s words (a fake systemctl)', async () => {
  const systemd = await fakeSystemd({ show: show({ LoadState: 'not-found', ActiveState: 'inactive' }) });
  const target = { url: `redis://127.0.0.1:${await freePort()}` };
  const service = serviceOf({ systemd: 'no-such' }, { home: systemd.home, instance: 'orders', target });
  await expect(service.state()).rejects.toMatchObject({
    code: 'HOST_COMMAND_FAILED',
    message: expect.stringContaining('no unit no-such'),
  });
  await systemd.answer({ start: 'fail:Failed to start no-such.service: Unit not found.' });
  await expect(service.start(io)).rejects.toMatchObject({
    code: 'HOST_COMMAND_FAILED',
    message: expect.stringContaining('Unit not found'),
  });
});
