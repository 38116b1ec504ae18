import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findMoment } from '../../archive/read/find-moment.ts';
import { layDown } from '../../archive/read/lay-down.ts';
import { Random } from '../../scripts/bench/random.ts';
import { archiveContext, instance, readArchive, until } from '../support/archive.ts';
import { connectTo } from '../support/dataset.ts';
import { difference, heldByPlainServer, heldByReference } from '../support/moment-digest.ts';
import { statesOf } from '../support/moment-states.ts';
import { MomentWriter } from '../support/moment-writer.ts';
import { type Flavour, missingFlavour, startRedis } from '../support/servers.ts';
import { stream } from '../support/stream.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const momentsOfStream = Number(process.env.REWIND_MOMENTS ?? 12);
const operations = Number(process.env.REWIND_MOMENT_OPERATIONS ?? 120);
const seed = Number(process.env.REWIND_SEED ?? 1);
const io = { signal: new AbortController().signal, onProgress: () => undefined };

const flavours: Flavour[] = process.env.REWIND_MOMENTS
  ? ['redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9']
  : ['redis-8.2', 'valkey-9'];

test.each(flavours.filter((flavour) => !missingFlavour(flavour)))(
  `moments by chance of a replication stream, its link cut by chance, are what a server is that got those commands: %s (REWIND_SEED=${seed})`,
  async (flavour) => {
    const random = new Random(seed);
    await using folder = await temporaryFolder('stream-moments');
    const elsewhere = await startRedis({ flavour });
    // Without PINGs every unit of the stream is of the writer.
    const config = { 'repl-diskless-sync-delay': '0', 'repl-ping-replica-period': '3600' };
    const server = await startRedis({ flavour, config });
    const [redis, other, admin] = [await connectTo(server), await connectTo(server), await connectTo(server)];
    const folders = { home: join(folder.path, 'home'), repository: join(folder.path, 'store') };
    const context = await archiveContext(server, folders);
    const { repository } = context;
    const following = stream(context, { segmentBytes: random.between(100, 6_000) });
    try {
      await until('the base', async () => (await readArchive(repository)).bases.length > 0);
      const writer = new MomentWriter(random, elsewhere.port);
      for (let i = 0; i < operations; i++) {
        await writer.step(redis, other);
        if (random.chance(0.03)) await admin.call('CLIENT', 'KILL', 'TYPE', 'replica');
      }
      const sent = Number(/master_repl_offset:(\d+)/.exec(await admin.info('replication'))?.[1]);
      await until('all is shipped', async () => {
        const last = (await readArchive(repository)).segments.at(-1)?.header;
        return last !== undefined && last.file.offset + last.end - last.start >= sent;
      });
      const { timelines, events } = await readArchive(repository);
      expect(timelines).toHaveLength(1);
      expect(events.filter(({ kind }) => kind === 'gap')).toEqual([]);
      const stretches = await statesOf(repository, 1);
      const chosen = Array.from({ length: momentsOfStream }, () => {
        const { from, to, state } = random.pick(stretches);
        return { position: random.between(from, to), state };
      });
      const states = new Set(chosen.map(({ state }) => state));
      const expected = await heldByReference(flavour, writer.operations, states);
      const wrong: string[] = [];
      for (const { position, state } of chosen) {
        const moment = await findMoment({ repository, instance }, { kind: 'position', position });
        const dir = join(folder.path, 'laid');
        await layDown({ repository, instance }, moment, dir, io);
        const differs = difference(await heldByPlainServer(dir, flavour), expected.get(state) ?? []);
        await rm(dir, { recursive: true });
        if (differs.length > 0) wrong.push([`position ${position}, operation ${state}`, ...differs].join('; '));
      }
      expect(wrong).toEqual([]);
    } finally {
      for (const each of [redis, other, admin]) each.disconnect();
      await following.stop().catch(() => undefined);
      await server.stop();
      await elsewhere.stop();
    }
  },
  3_600_000,
);
