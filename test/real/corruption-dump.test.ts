import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildChoice } from '../../incident/corruption/build-choice.ts';
import { buildProven } from '../../incident/corruption/build-proven.ts';
import { choicesOf } from '../../incident/corruption/choices.ts';
import { copyAside } from '../../incident/corruption/copy-aside.ts';
import { diagnoseFiles } from '../../incident/corruption/diagnose.ts';
import { withLoadedFiles } from '../../incident/corruption/loaded-files.ts';
import { connectRedis } from '../../redis/connection.ts';
import { readLiveKey } from '../../redis/live-content.ts';
import { fillServer } from '../../scripts/bench/dataset.ts';
import { Random } from '../../scripts/bench/random.ts';
import { damagers, digestsOf, firstDifference, quietIO, sandboxServer, settingsOf } from '../support/corruption.ts';
import { type Flavour, missingFlavour, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const flavours: Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];
const limits = { maxMemoryBytes: 2e9 };
const rounds = 3;

describe.each(flavours)('a dump of %s', (flavour) => {
  const missing = missingFlavour(flavour) !== undefined;
  const settings = settingsOf(flavour);
  let folder: TemporaryFolder;
  let original: Buffer;
  let digests: Map<string, string>;

  beforeAll(async () => {
    folder = await temporaryFolder('corruption');
    if (missing) return;
    const server = await startRedis({ flavour });
    const redis = await connectRedis({ url: server.url });
    try {
      await fillServer(server.port, { keys: 2500, seed: 8 });
      await redis.select(3);
      for (let i = 0; i < 200; i++) await redis.set(`other:${i}`, 'v'.repeat(i), 'EX', 100_000 + i);
      if (flavour !== 'redis-6.2') {
        await redis.call('FUNCTION', 'LOAD', "#!lua name=one\nredis.register_function('one', function() return 1 end)");
      }
      await redis.save();
      await copyFile(join(server.dir, 'dump.rdb'), join(folder.path, 'original.rdb'));
    } finally {
      redis.disconnect();
      await server.stop();
    }
    original = await readFile(join(folder.path, 'original.rdb'));
    digests = await digestsOf(join(folder.path, 'original.rdb'));
  });
  afterAll(() => folder.remove());

  /** A folder as the server would have it, with this dump. */
  async function damagedFolder(name: string, dump: Uint8Array): Promise<string> {
    const dir = join(folder.path, name);
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, 'dump.rdb'), dump);
    return dir;
  }

  test.skipIf(missing)('that is whole is found whole, and would be loaded', async () => {
    const diagnosis = await diagnoseFiles(await damagedFolder('whole', original), settings, quietIO);
    expect(diagnosis).toMatchObject({ damaged: false, serverWould: 'load', form: 'rdb' });
    expect(diagnosis.files[0]).toMatchObject({
      state: 'whole',
      before: { keys: digests.size },
      after: { keys: 0 },
      keysExpected: digests.size,
      checksum: 'ok',
      damages: [],
      lost: [],
    });
  });

  test.skipIf(missing).each(Object.keys(damagers))(
    '%s: the place is named, and a real server loads what is salvaged, with the contents that were there',
    async (name) => {
      const random = new Random(name.length * 1000 + flavour.length);
      const server = await sandboxServer(flavour);
      let altered = 0;
      let missed = 0;
      let seen = 0;
      for (let round = 0; round < rounds; round++) {
        const mutant = damagers[name]!(Buffer.from(original), random);
        const at = firstDifference(mutant, original);
        const dir = await damagedFolder(`${round}`, mutant);
        const before = createHash('sha256').update(mutant).digest('hex');
        const aside = await copyAside(dir, join(folder.path, `aside-${name}-${round}`), settings, quietIO);
        expect(aside.files).toMatchObject([{ path: 'dump.rdb', sizeBytes: mutant.length, sha256: before }]);
        const diagnosis = await diagnoseFiles(aside.dir, settings, quietIO, { server });
        const [file] = diagnosis.files;
        expect(diagnosis).toMatchObject({ damaged: true, serverWould: 'refuse' });
        expect(file!.checker).toMatch(/check-rdb .* ends with/);
        const { damage, lost } = file!;
        if (damage!.code === 'RDB_CHECKSUM_WRONG') {
          expect(damage!.offset).toBe(-1);
          expect(file!.notes.join()).toContain('any value may be wrong');
        } else {
          // Never named before it is; and what is given up has it within, but where a wrong value passes for whole.
          expect(damage!.offset).toBeGreaterThanOrEqual(Math.min(at, lost[0]!.from));
          if (lost[0]!.from > at) missed++;
        }
        const [choice] = choicesOf(diagnosis, [], new Date());
        expect(choice).toMatchObject({ id: 'salvage', keys: file!.before.keys! + file!.after.keys! });
        const { built, loaded } = await buildProven(
          server,
          { choice: 'salvage', asideDir: aside.dir, workDir: join(folder.path, 'built'), settings },
          { ...limits, workRoot: join(folder.path, 'work') },
          quietIO,
        );
        expect(loaded.keys).toBe(choice!.keys);
        const salvaged = await digestsOf(join(built.dir, 'dump.rdb'));
        expect(salvaged.size).toBe(choice!.keys);
        const inGuessedDatabase = built.notes.join().includes('the database that was selected before it');
        if (damage!.code !== 'RDB_CHECKSUM_WRONG' && !inGuessedDatabase) {
          for (const [key, digest] of salvaged) if (digests.get(key) !== digest) altered++;
          seen += salvaged.size;
        }
        if (name !== 'a cut') expect(digests.size - salvaged.size).toBeLessThan(150);
        expect(
          createHash('sha256')
            .update(await readFile(join(dir, 'dump.rdb')))
            .digest('hex'),
        ).toBe(before);
      }
      // Without a checksum for each value nothing is certain: next to damage a value may rarely pass for whole.
      expect(altered, `of ${seen} keys`).toBeLessThanOrEqual(1);
      expect(missed, `of ${rounds} places`).toBeLessThanOrEqual(1);
    },
  );

  test.skipIf(missing)('the salvaged keys are what commands read from the server that has loaded them', async () => {
    const random = new Random(4);
    const dir = await damagedFolder('live', damagers['a stretch of noise']!(Buffer.from(original), random));
    const built = await buildChoice(
      { choice: 'salvage', asideDir: dir, workDir: join(folder.path, 'built-live'), settings },
      quietIO,
    );
    const server = await sandboxServer(flavour);
    const workRoot = join(folder.path, 'work');
    await withLoadedFiles(server, built, settings, { ...limits, workRoot }, quietIO, async (result) => {
      if (result.outcome !== 'loaded') throw new Error(JSON.stringify(result));
      const salvaged = await digestsOf(join(built.dir, 'dump.rdb'));
      const sample = [...salvaged].filter(() => random.chance(0.1));
      expect(sample.length).toBeGreaterThan(100);
      for (const [name, digest] of sample) {
        const space = name.indexOf(' ');
        const key = Buffer.from(name.slice(space + 1), 'latin1');
        const type = await result.redis.select(Number(name.slice(0, space))).then(() => result.redis.type(key));
        if (type === 'stream') continue;
        const live = await readLiveKey(result.redis, Number(name.slice(0, space)), key);
        expect(live).toMatchObject({ state: 'present', digest });
      }
      if (flavour !== 'redis-6.2') expect(await result.redis.call('FUNCTION', 'LIST')).toHaveLength(1);
    });
  });

  test.skipIf(missing || flavour === 'redis-6.2')(
    'with a function library that no server compiles any more gives back its keys',
    async () => {
      const mutant = Buffer.from(original);
      const at = mutant.indexOf('redis.register_function');
      mutant.fill('(', at, at + 5);
      const dir = await damagedFolder('library', mutant);
      const { built, loaded } = await buildProven(
        await sandboxServer(flavour),
        { choice: 'salvage', asideDir: dir, workDir: join(folder.path, 'built-library'), settings },
        { ...limits, workRoot: join(folder.path, 'work') },
        quietIO,
      );
      expect(loaded.keys).toBe(digests.size);
      expect(await digestsOf(join(built.dir, 'dump.rdb'))).toEqual(digests);
      expect(built.notes.join()).toContain('1 function library is left out');
    },
  );

  test.skipIf(missing)('whose head is gone is read by the server that wrote it', async () => {
    const dir = await damagedFolder('head', Buffer.concat([Buffer.alloc(9), original.subarray(9)]));
    const diagnosis = await diagnoseFiles(dir, settings, quietIO);
    expect(diagnosis.files[0]).toMatchObject({
      damage: { offset: 0, code: 'RDB_NOT_A_DUMP' },
      after: { keys: digests.size },
      // With the right head its checksum is right: all of it is as it was.
      checksum: 'ok',
    });
    const workDir = join(folder.path, 'built-head');
    await buildChoice({ choice: 'salvage', asideDir: dir, workDir, settings }, quietIO);
    expect(await digestsOf(join(workDir, 'dump.rdb'))).toEqual(digests);
  });
});
