import { appendFile, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { archivedOrWhyNot } from '../../incident/corruption/archived-state.ts';
import { buildProven } from '../../incident/corruption/build-proven.ts';
import { choicesOf } from '../../incident/corruption/choices.ts';
import { diagnoseFiles } from '../../incident/corruption/diagnose.ts';
import { connectRedis } from '../../redis/connection.ts';
import { openRepository } from '../../repository/open.ts';
import { instance } from '../support/archive.ts';
import { ArchiveCutter } from '../support/archive-cutter.ts';
import { copyTree, quietIO, sandboxServer, settingsOf } from '../support/corruption.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** A write stands in the file before it is answered: what a killed process wrote is the kernel's. */
const config = {
  ...debugAllowed(),
  appendonly: 'yes',
  appendfsync: 'no',
  'aof-timestamp-enabled': 'yes',
  'auto-aof-rewrite-percentage': '0',
  'aof-disable-auto-gc': 'yes',
};
const settings = settingsOf('redis-7.0', { appendonly: true });
const binary = Buffer.from('\r\n*1\r\n$8\r\nflushall\r\n\0', 'latin1');

/** A server's folder, its archive up to somewhere in its file, and where in the file that is. */
async function scene() {
  const folder = await temporaryFolder('corruption-archive');
  const repository = await openRepository({ url: `file://${join(folder.path, 'store')}` });
  const cutter = new ArchiveCutter(repository, { instance, segmentBytes: () => 400 });
  const server = await startRedis({ dir: join(folder.path, 'server'), config });
  const redis = await connectRedis(server);
  const write = async (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      await redis.select(i % 3);
      await redis.multi().incr('counter').rpush('list', binary, String(i)).exec();
      await redis.set(`key:${i}`, binary);
    }
  };
  await cutter.begin('first');
  await write(0, 20);
  await redis.bgrewriteaof();
  await expect
    .poll(async () => /aof_rewrite_(in_progress|scheduled):1/.test(await redis.info('persistence')), {
      timeout: 60_000,
    })
    .toBe(false);
  await write(20, 60);
  await cutter.look(server.dir);
  const name = (await readFile(join(server.dir, 'appendonlydir/appendonly.aof.manifest'), 'utf8')).match(
    /appendonly\.aof\.\d+\.incr\.aof(?= seq \d+ type i)/,
  )?.[0] as string;
  const incr = join(server.dir, 'appendonlydir', name);
  const archivedTo = (await readFile(incr)).length;
  await write(60, 90);
  const digest = await dataDigest(server);
  redis.disconnect();
  await server.kill9();
  const recover = async () => {
    const aside = join(folder.path, 'aside');
    await copyTree(server.dir, aside);
    const diagnosis = await diagnoseFiles(aside, settings, quietIO);
    const place = { repository, instance };
    const { archived, told } = await archivedOrWhyNot(place, aside, settings, quietIO);
    expect(told).toBeUndefined();
    if (!archived) throw new Error('no archive');
    const choices = choicesOf(diagnosis, [], new Date(), archived);
    const limits = { workRoot: join(folder.path, 'proofs'), maxMemoryBytes: 2 ** 30 };
    const workDir = join(folder.path, 'built');
    const saveAsDump = () => Promise.reject(new Error('the server has an append-only file'));
    const request = {
      choice: 'archive',
      asideDir: aside,
      workDir,
      settings,
      archived: { place, state: archived, saveAsDump },
    };
    // Twice: a step that was killed before it was told is done again.
    await buildProven(await sandboxServer('redis-7.0'), request, limits, quietIO);
    await buildProven(await sandboxServer('redis-7.0'), request, limits, quietIO);
    const restored = await startRedis({ dir: workDir, config });
    const found = await dataDigest(restored).finally(() => restored.stop());
    return { found, choices, archived };
  };
  const stop = async () => {
    await server.stop();
    await folder.remove();
  };
  return { incr, base: incr.replace('.incr.aof', '.base.rdb'), archivedTo, digest, recover, stop };
}

async function damage(path: string, at: number, bytes = 64): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(Buffer.alloc(bytes), 0, bytes, at);
  await file.close();
}

test('damage in what is archived loses nothing: what follows on the disk comes behind the archive', async () => {
  const { incr, archivedTo, digest, recover, stop } = await scene();
  await damage(incr, archivedTo >> 1);
  const { found, choices, archived } = await recover();
  expect(choices[0]).toMatchObject({ id: 'archive', loses: 'nothing', losesKeys: 0, losesSeconds: 0 });
  expect(archived.tail).toMatchObject([{ from: archivedTo, commands: expect.any(Number) }]);
  expect(found).toBe(digest);
  await stop();
});

test('a damaged base of several parts is replaced by that of the archive, and all that came since follows', async () => {
  const { base, archivedTo, digest, recover, stop } = await scene();
  await damage(base, ((await readFile(base)).length * 2) / 3);
  const { found, choices, archived } = await recover();
  expect(choices[0]).toMatchObject({ id: 'archive', loses: 'nothing' });
  expect(archived.tail).toMatchObject([{ from: archivedTo }]);
  expect(found).toBe(digest);
  await stop();
});

test('damage in the segment that was archived last, and a file that ends in the middle of a command', async () => {
  const { incr, archivedTo, digest, recover, stop } = await scene();
  await damage(incr, archivedTo - 200, 20);
  await appendFile(incr, '*3\r\n$3\r\nSET\r\n$4\r\nnev');
  const { found, archived } = await recover();
  expect(archived.upTo).toBeUndefined();
  expect(archived.unknown.join()).toContain('never finished');
  expect(found).toBe(digest);
  await stop();
});

test('damage behind the archive’s end loses what stands from there on, and says so', async () => {
  const { incr, archivedTo, digest, recover, stop } = await scene();
  const whole = (await readFile(incr)).length;
  await damage(incr, archivedTo + ((whole - archivedTo) >> 1), 30);
  const { found, choices, archived } = await recover();
  const choice = choices.find(({ id }) => id === 'archive');
  expect(archived.tail).toMatchObject([{ from: archivedTo }]);
  expect(archived.losesCommands).toBeGreaterThan(10);
  expect(choice?.loses).toMatch(/what was written after .* \(\d+ s\), of that \d+ commands/);
  expect(found).not.toBe(digest);
  await stop();
});
