import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatAofManifest, parseAofManifest } from '../../aof/manifest.ts';
import { scanAof } from '../../aof/scan.ts';
import { buildChoice } from '../../incident/corruption/build-choice.ts';
import { choicesOf } from '../../incident/corruption/choices.ts';
import { copyAside } from '../../incident/corruption/copy-aside.ts';
import { diagnoseFiles } from '../../incident/corruption/diagnose.ts';
import type { Diagnosis } from '../../incident/corruption/diagnosis.ts';
import { proveBuilt, withLoadedFiles } from '../../incident/corruption/loaded-files.ts';
import { connectRedis } from '../../redis/connection.ts';
import { fillServer } from '../../scripts/bench/dataset.ts';
import { Random } from '../../scripts/bench/random.ts';
import { contentOf, copyTree, digestsOf, quietIO, sandboxServer, settingsOf } from '../support/corruption.ts';
import { type Flavour, missingFlavour, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const flavours: Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];

interface Place {
  readonly start: number;
  readonly end: number;
  readonly transactionAt: number;
}

describe.each(flavours)('append-only files of %s', (flavour) => {
  const missing = missingFlavour(flavour) !== undefined;
  const manyParts = flavour !== 'redis-6.2';
  const settings = settingsOf(flavour, { appendonly: true });
  let folder: TemporaryFolder;
  let original: string;
  /** The file that ends with commands: the incr, or the single file. */
  let tail: string;
  let bytes: Buffer;
  let dump: Buffer;
  let commands: Place[];
  let made = 0;

  beforeAll(async () => {
    folder = await temporaryFolder('corruption-aof');
    if (missing) return;
    original = join(folder.path, 'original');
    const config = {
      appendonly: 'yes',
      'auto-aof-rewrite-percentage': '0',
      ...(manyParts ? { 'aof-timestamp-enabled': 'yes' } : {}),
    };
    const server = await startRedis({ flavour, config, dir: original });
    const redis = await connectRedis({ url: server.url });
    try {
      await fillServer(server.port, { keys: 300, seed: 3 });
      await redis.bgrewriteaof();
      const rewriting = async () =>
        /aof_rewrite_in_progress:1|aof_rewrite_scheduled:1/.test(await redis.info('persistence'));
      while (await rewriting()) await sleep(20);
      await fillServer(server.port, { keys: 400, seed: 4 });
      // A new second begins: only then there is a #TS.
      const [second] = await redis.time();
      while ((await redis.time())[0] === second) await sleep(20);
      await redis.select(2);
      await redis.set('binary', Buffer.from('\r\n*1\r\n$4\r\nPING\r\n\0'));
      for (let i = 0; i < 30; i++) await redis.multi().incr('counter').set(`last:${i}`, i).exec();
      await redis.select(0);
      for (let i = 0; i < 30; i++) await redis.append('text', `${i},`);
    } finally {
      redis.disconnect();
      await server.stop();
    }
    await rm(server.logFile, { force: true });
    if (manyParts) {
      const manifest = parseAofManifest(await readFile(join(original, 'appendonlydir', 'appendonly.aof.manifest')));
      tail = join('appendonlydir', manifest.incrs.at(-1)!.name);
      dump = await readFile(join(original, 'appendonlydir', manifest.base!.name));
    } else tail = 'appendonly.aof';
    bytes = await readFile(join(original, tail));
    commands = [];
    const { preambleEnd } = await scanAof(
      { path: join(original, tail) },
      { command: ({ start, end, transactionAt }) => commands.push({ start, end, transactionAt }) },
    );
    if (!manyParts) dump = bytes.subarray(0, preambleEnd);
    expect(commands.length).toBeGreaterThan(400);
  });
  afterAll(() => folder.remove());

  /** A server's folder whose last file has other bytes, or which was changed otherwise. */
  async function damaged(change: Uint8Array | ((dir: string) => Promise<void>)): Promise<string> {
    const dir = join(folder.path, `damaged-${made++}`);
    await copyTree(original, dir);
    if (change instanceof Uint8Array) await writeFile(join(dir, tail), change);
    else await change(dir);
    return dir;
  }

  /** Copies aside, diagnoses and lists the choices, as the runbook does. */
  async function look(dir: string, aofLoadTruncated = true) {
    const aside = await copyAside(dir, `${dir}-aside`, settings, quietIO);
    const told = { ...settings, aofLoadTruncated };
    const diagnosis = await diagnoseFiles(aside.dir, told, quietIO, { server: await sandboxServer(flavour) });
    return { aside: aside.dir, diagnosis, choices: choicesOf(diagnosis, [], new Date()).map(({ id }) => id) };
  }

  const tailOf = (diagnosis: Diagnosis) => diagnosis.files.find(({ path }) => path === tail)!;

  /** Performs a choice and gives what a real server holds that has loaded the result. */
  async function performed(choice: string, aside: string): Promise<Map<string, string>> {
    const server = await sandboxServer(flavour);
    const built = await buildChoice({ choice, asideDir: aside, workDir: `${aside}-${choice}`, settings }, quietIO);
    const limits = { maxMemoryBytes: 2e9, workRoot: join(folder.path, 'work') };
    await proveBuilt(server, built, settings, limits, quietIO);
    return withLoadedFiles(server, built, settings, limits, quietIO, async (result) => {
      if (result.outcome !== 'loaded') throw new Error(JSON.stringify(result));
      return contentOf(result.redis);
    });
  }

  /** What a server holds that has loaded the dump and was sent these commands over the network. */
  async function reference(sent: (place: Place) => boolean): Promise<Map<string, string>> {
    const dir = join(folder.path, `reference-${made++}`);
    await mkdir(dir);
    await writeFile(join(dir, 'dump.rdb'), dump);
    const server = await startRedis({ flavour, dir });
    try {
      const socket = connect({ port: server.port, host: '127.0.0.1' });
      await once(socket, 'connect');
      socket.resume();
      for (const { start, end } of commands.filter(sent)) {
        if (!socket.write(bytes.subarray(start, end))) await once(socket, 'drain');
      }
      // Its answer comes when all before it was done.
      socket.end('*1\r\n$4\r\nQUIT\r\n');
      await once(socket, 'close');
      const redis = await connectRedis({ url: server.url });
      return await contentOf(redis).finally(() => redis.disconnect());
    } finally {
      await server.stop();
    }
  }

  /** How a real server starts on a copy: how many keys it then has, and the length of the last file. */
  async function startOf(dir: string, config: Record<string, string> = {}) {
    const copy = `${dir}-start-${made++}`;
    await copyTree(dir, copy);
    const started = await startRedis({ flavour, dir: copy, config: { appendonly: 'yes', ...config } }).catch(
      () => undefined,
    );
    if (started === undefined) return 'refuse';
    const redis = await connectRedis({ url: started.url });
    const keys = Number(await redis.dbsize());
    redis.disconnect();
    await started.stop();
    const { size } = await stat(join(copy, tail)).catch(() => ({ size: -1 }));
    return { keys, size };
  }

  test.skipIf(missing)('that are whole are found whole, with what they hold', async () => {
    const { diagnosis, choices } = await look(original);
    expect(diagnosis).toMatchObject({
      damaged: false,
      serverWould: 'load',
      form: manyParts ? 'aof-multi' : 'aof-single',
    });
    expect(diagnosis.files.map(({ role }) => role)).toEqual(manyParts ? ['manifest', 'base', 'incr'] : ['single']);
    expect(tailOf(diagnosis)).toMatchObject({
      state: 'whole',
      before: { commands: commands.length },
      after: { commands: 0 },
    });
    if (manyParts) expect(tailOf(diagnosis).before.newest).toMatch(/^20/);
    expect(choices).toEqual([]);
  });

  test.skipIf(missing)('cut off anywhere: the server cuts to a whole command, and so does the choice', async () => {
    const random = new Random(2);
    const inTransaction = commands.findLast(({ start, transactionAt }) => transactionAt === start)!;
    for (const size of [commands[random.between(50, 350)]!.end - 3, inTransaction.end]) {
      const cutFile = bytes.subarray(0, size);
      const whole = commands.filter(
        ({ end, transactionAt }) => end <= size && (transactionAt < 0 || exec(transactionAt) <= size),
      );
      const dir = await damaged(Buffer.from(cutFile));
      const { aside, diagnosis, choices } = await look(dir);
      expect(diagnosis.serverWould).toBe('cut');
      expect(tailOf(diagnosis)).toMatchObject({
        damage: { offset: size, code: 'AOF_TRUNCATED' },
        before: { commands: whole.length },
        serverWould: 'cut',
      });
      expect(choices).toEqual(['aof-until-damage']);
      expect(await performed('aof-until-damage', aside)).toEqual(await reference((place) => whole.includes(place)));
      // What was said of the server is what it does, and it does it to the file.
      expect(await startOf(dir)).toMatchObject({ size: tailOf(diagnosis).cutAt });
      expect(await startOf(dir, { 'aof-load-truncated': 'no' })).toBe('refuse');
      expect((await look(dir, false)).diagnosis.serverWould).toBe('refuse');
    }
  });

  /** Where the transaction that begins at `multi` ends. */
  const exec = (multi: number) => commands.findLast(({ transactionAt }) => transactionAt === multi)!.end;

  test.skipIf(missing)(
    'with a byte of a length gone wrong: its offset is named, and both ways round it load',
    async () => {
      const at = Math.floor(commands.length / 2);
      const hit = commands.slice(at).find(({ transactionAt }) => transactionAt < 0)!;
      const mutant = Buffer.from(bytes);
      mutant[hit.start] = 0x7f;
      const dir = await damaged(mutant);
      const { aside, diagnosis, choices } = await look(dir);
      expect(diagnosis.serverWould).toBe('refuse');
      expect(await startOf(dir)).toBe('refuse');
      const behind = commands.filter(({ start }) => start > hit.start).length;
      expect(tailOf(diagnosis)).toMatchObject({
        damage: { offset: hit.start, code: 'AOF_CORRUPT' },
        before: { commands: commands.length - behind - 1 },
        after: { commands: behind },
        lost: [{ from: hit.start, to: hit.end }],
        cutAt: hit.start,
      });
      expect(tailOf(diagnosis).checker).toMatch(/check-aof .* ends with 1/);
      expect(choices).toEqual(['base-and-later', 'aof-until-damage']);
      expect(await performed('aof-until-damage', aside)).toEqual(await reference(({ start }) => start < hit.start));
      expect(await performed('base-and-later', aside)).toEqual(await reference((place) => place !== hit));
    },
  );

  test.skipIf(missing)(
    'with a length that leads beyond the end: the server would throw away all behind it, and that is said',
    async () => {
      const hit = commands.slice(200).find(({ transactionAt }) => transactionAt < 0)!;
      const length = bytes.indexOf('$', hit.start);
      const mutant = Buffer.concat([bytes.subarray(0, length), Buffer.from('$99999999'), bytes.subarray(length + 2)]);
      const dir = await damaged(mutant);
      const { diagnosis, choices } = await look(dir);
      const behind = commands.filter(({ start }) => start > hit.start).length;
      expect(diagnosis.serverWould).toBe('cut');
      expect(diagnosis.text).toContain(`${behind} commands that can still be read`);
      expect(tailOf(diagnosis)).toMatchObject({ damage: { offset: hit.start, code: 'AOF_CORRUPT' }, cutAt: hit.start });
      expect(await startOf(dir)).toMatchObject({ size: hit.start });
      expect(choices).toEqual(['base-and-later', 'aof-until-damage']);
    },
  );

  test.skipIf(missing)(
    'damaged inside of a transaction: it is cut before its MULTI, and its rest is not played',
    async () => {
      const hit = commands.filter(({ transactionAt }) => transactionAt >= 0).at(20)!;
      const mutant = Buffer.from(bytes).fill(0, hit.start + 1, hit.end - 1);
      const dir = await damaged(mutant);
      const { aside, diagnosis } = await look(dir);
      expect(tailOf(diagnosis)).toMatchObject({ cutAt: hit.transactionAt });
      const end = exec(hit.transactionAt);
      expect(await performed('aof-until-damage', aside)).toEqual(
        await reference(({ start }) => start < hit.transactionAt),
      );
      expect(await performed('base-and-later', aside)).toEqual(
        await reference(({ start }) => start < hit.transactionAt || start >= end),
      );
    },
  );

  test.skipIf(missing)(
    'with a command of a name that no server has: redis-check-aof passes it, the server does not',
    async () => {
      const hit = commands.slice(100).find(({ transactionAt }) => transactionAt < 0)!;
      const mutant = Buffer.from(bytes);
      mutant[bytes.indexOf('\n', bytes.indexOf('$', hit.start)) + 1]! ^= 0x10;
      const dir = await damaged(mutant);
      const { aside, diagnosis } = await look(dir);
      expect(tailOf(diagnosis)).toMatchObject({
        damage: { offset: hit.start },
        cutAt: hit.start,
        serverWould: 'refuse',
      });
      expect(await startOf(dir)).toBe('refuse');
      expect(await performed('base-and-later', aside)).toEqual(await reference((place) => place !== hit));
    },
  );

  test.skipIf(missing)(
    'with zeroes, noise and missing pieces at random: what is made of them is always loaded',
    async () => {
      const random = new Random(9);
      const first = commands[0]!.end;
      for (const kind of ['zeroes', 'noise', 'piece'] as const) {
        const at = random.between(first, bytes.length - 3000);
        const size = random.between(20, 2000);
        const mutant =
          kind === 'piece'
            ? Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + size)])
            : Buffer.concat([
                bytes.subarray(0, at),
                kind === 'zeroes' ? Buffer.alloc(size) : random.bytes(size),
                bytes.subarray(at + size),
              ]);
        const { aside, diagnosis, choices } = await look(await damaged(mutant));
        const file = tailOf(diagnosis);
        if (file.state === 'whole') continue; // within a value: nothing tells
        expect(file.cutAt).toBeLessThanOrEqual(at);
        expect(file.damage!.offset).toBeGreaterThanOrEqual(file.cutAt!);
        const whole = commands.filter(({ end }) => end <= file.cutAt!);
        expect(file.before.commands).toBe(whole.length);
        expect(await performed('aof-until-damage', aside)).toEqual(await reference((place) => whole.includes(place)));
        if (choices.includes('base-and-later')) await performed('base-and-later', aside);
      }
    },
  );

  test.skipIf(missing)('whose base is damaged: its keys are salvaged, and the commands follow', async () => {
    const path = manyParts
      ? join(
          'appendonlydir',
          parseAofManifest(await readFile(join(original, 'appendonlydir', 'appendonly.aof.manifest'))).base!.name,
        )
      : tail;
    const dir = await damaged(async (to) => {
      const base = await readFile(join(to, path));
      const at = Math.floor(dump.length / 2);
      await writeFile(join(to, path), base.fill(0, at, at + 300));
    });
    const { aside, diagnosis, choices } = await look(dir);
    expect(diagnosis).toMatchObject({ damaged: true, serverWould: 'refuse' });
    expect(await startOf(dir)).toBe('refuse');
    const base = diagnosis.files.find((file) => file.path === path)!;
    const keys = (base.before.keys ?? 0) + (base.after.keys ?? 0);
    expect(keys).toBeGreaterThan(base.keysExpected! - 30);
    expect(choices).toEqual(['salvage']);
    const content = await performed('salvage', aside);
    const whole = await reference(() => true);
    const same = [...content].filter(([key, digest]) => whole.get(key) === digest).length;
    expect(whole.size - same).toBeLessThan(40);
    expect(content.size).toBeLessThanOrEqual(whole.size);
  });

  test.skipIf(missing)('beside a whole dump, and a backup: each becomes what the server loads', async () => {
    const dir = await damaged(async (to) => {
      await writeFile(join(to, tail), 'not commands');
      await writeFile(join(to, 'dump.rdb'), dump);
      if (!manyParts) return;
      for (const name of await readdir(join(to, 'appendonlydir'))) {
        if (name.includes('base')) await writeFile(join(to, 'appendonlydir', name), 'not a dump');
      }
    });
    const { aside, diagnosis } = await look(dir);
    const entry = {
      id: '20260101T000000Z-00000000',
      time: '2026-01-01T00:00:00Z',
      tier: 'daily',
      sizeBytes: 1,
      keys: 1,
    } as const;
    const choices = choicesOf(diagnosis, [{ ...entry, state: 'verified' }], new Date());
    expect(choices.map(({ id }) => id)).toEqual(['dump-beside', `backup:${entry.id}`]);
    const expected = await reference(() => false);
    expect(await performed('dump-beside', aside)).toEqual(expected);
    const server = await sandboxServer(flavour);
    const built = await buildChoice(
      {
        choice: `backup:${entry.id}`,
        asideDir: aside,
        workDir: `${aside}-backup`,
        settings,
        fetchBackup: async (_id, path) => writeFile(path, dump),
      },
      quietIO,
    );
    const limits = { maxMemoryBytes: 2e9, workRoot: join(folder.path, 'work') };
    expect((await proveBuilt(server, built, settings, limits, quietIO)).keys).toBe(expected.size);
    expect(built.files.map(({ path }) => path)).toEqual(
      manyParts
        ? [join('appendonlydir', 'appendonly.aof.1.base.rdb'), join('appendonlydir', 'appendonly.aof.manifest')]
        : ['appendonly.aof'],
    );
    expect(await digestsOf(join(built.dir, built.files[0]!.path), { streams: false })).toEqual(expected);
  });

  describe.skipIf(missing || !manyParts)('in many parts', () => {
    /** Makes two incrs of the one. */
    async function split(dir: string): Promise<{ first: string; second: string; at: number }> {
      const at = commands.slice(250).find(({ transactionAt }) => transactionAt < 0)!.start;
      const path = join(dir, 'appendonlydir', 'appendonly.aof.manifest');
      const manifest = parseAofManifest(await readFile(path));
      const last = manifest.incrs.at(-1)!;
      const next = { name: `appendonly.aof.${last.seq + 1}.incr.aof`, seq: last.seq + 1, type: 'incr' as const };
      await writeFile(join(dir, 'appendonlydir', last.name), bytes.subarray(0, at));
      const select = Buffer.from('*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n');
      await writeFile(join(dir, 'appendonlydir', next.name), Buffer.concat([select, bytes.subarray(at)]));
      await writeFile(path, formatAofManifest({ ...manifest, incrs: [...manifest.incrs, next] }));
      return { first: join('appendonlydir', last.name), second: join('appendonlydir', next.name), at };
    }

    test('an incr that is not the last and is cut off: the server refuses, and the later one is not forgotten', async () => {
      let parts = { first: '', second: '', at: 0 };
      let cut = 0;
      const dir = await damaged(async (to) => {
        parts = await split(to);
        const before = commands.findLast(({ end, transactionAt }) => end <= parts.at - 200 && transactionAt < 0)!;
        cut = before.end;
        const bytesOfFirst = await readFile(join(to, parts.first));
        await writeFile(join(to, parts.first), bytesOfFirst.subarray(0, cut + 5));
      });
      const { aside, diagnosis, choices } = await look(dir);
      expect(diagnosis.serverWould).toBe('refuse');
      expect(await startOf(dir)).toBe('refuse');
      expect(diagnosis.files.map(({ state }) => state)).toEqual(['whole', 'whole', 'damaged', 'whole']);
      expect(choices).toEqual(['base-and-later', 'aof-until-damage']);
      expect(await performed('aof-until-damage', aside)).toEqual(await reference(({ start }) => start < cut));
      expect(await performed('base-and-later', aside)).toEqual(
        await reference(({ start }) => start < cut || start >= parts.at),
      );
    });

    test('an incr that is not there: the server refuses, and both ways round it load', async () => {
      let parts = { first: '', second: '', at: 0 };
      const dir = await damaged(async (to) => {
        parts = await split(to);
        await rm(join(to, parts.first));
      });
      const { aside, diagnosis, choices } = await look(dir);
      expect(diagnosis.serverWould).toBe('refuse');
      expect(diagnosis.text).toContain('not there');
      expect(await startOf(dir)).toBe('refuse');
      expect(choices).toEqual(['base-and-later', 'aof-until-damage']);
      expect(await performed('aof-until-damage', aside)).toEqual(await reference(() => false));
      expect(await performed('base-and-later', aside)).toEqual(await reference(({ start }) => start >= parts.at));
    });

    test('the manifest is gone: the server would start empty, and that is said before it does', async () => {
      const dir = await damaged((to) => rm(join(to, 'appendonlydir', 'appendonly.aof.manifest')));
      const { diagnosis } = await look(dir);
      expect(diagnosis).toMatchObject({ damaged: true, serverWould: 'start-empty' });
      expect(await startOf(dir)).toMatchObject({ keys: 0 });
    });

    test('the manifest is damaged: the server refuses', async () => {
      const path = join('appendonlydir', 'appendonly.aof.manifest');
      const dir = await damaged((to) => writeFile(join(to, path), 'file \0 seq 1\n'));
      const { diagnosis } = await look(dir);
      expect(diagnosis).toMatchObject({
        serverWould: 'refuse',
        files: [{ path, damage: { code: 'AOF_MANIFEST_INVALID' } }],
      });
      expect(await startOf(dir)).toBe('refuse');
    });

    test('the single file of an older server is taken over, and said to be', async () => {
      const dir = await damaged(async (to) => {
        await rm(join(to, 'appendonlydir'), { recursive: true });
        await writeFile(join(to, 'appendonly.aof'), Buffer.concat([dump, bytes]));
      });
      const { diagnosis } = await look(dir);
      expect(diagnosis).toMatchObject({ form: 'aof-single', damaged: false, serverWould: 'load' });
      expect(await startOf(dir)).toMatchObject({ keys: expect.any(Number) });
    });
  });
});
