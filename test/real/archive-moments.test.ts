import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { findMoment } from '../../archive/read/find-moment.ts';
import { layDown } from '../../archive/read/lay-down.ts';
import type { Moment } from '../../archive/read/moment.ts';
import { openRepository } from '../../repository/open.ts';
import { Random } from '../../scripts/bench/random.ts';
import { instance, readArchive } from '../support/archive.ts';
import { cutByTest, followed } from '../support/moment-archive.ts';
import {
  difference,
  type Held,
  heldByPlainServer,
  heldByReference,
  writeCommandsOf,
} from '../support/moment-digest.ts';
import { statesOf } from '../support/moment-states.ts';
import { writeByChance } from '../support/moment-stream.ts';
import { type Flavour, missingFlavour } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** `npm run test:moments` takes thousands, a hundred of a stream; `npm test` a slice. */
const wanted = Number(process.env.REWIND_MOMENTS ?? 50);
const momentsOfStream = Math.min(wanted, process.env.REWIND_MOMENTS ? 100 : 25);
const operations = Number(process.env.REWIND_MOMENT_OPERATIONS ?? 150);
/** The slice takes the same ones each time. */
const seed = Number(process.env.REWIND_SEED ?? (process.env.REWIND_MOMENTS ? Date.now() % 1e9 : 1));

/** More than one file with a manifest is what all but the oldest write. */
const flavours: Flavour[] = (['redis-7.0', 'valkey-9', 'redis-8.2', 'valkey-8'] as const).filter(
  (flavour) => !missingFlavour(flavour),
);
const streams = Array.from({ length: Math.ceil(wanted / momentsOfStream) }, (_, i) => ({
  stream: i + 1,
  seed: seed + i,
  flavour: flavours[(i >> 1) % flavours.length] as Flavour,
  maker: i % 2 === 0 ? ('cut by the test' as const) : ('by the follower' as const),
}));
const io = { signal: new AbortController().signal, onProgress: () => undefined };

describe(`moments by chance are what a server is that got exactly those commands (REWIND_SEED=${seed})`, () => {
  let shown = 0;
  const taken = new Map<Flavour, Set<string>>();

  test.each(streams)(
    'stream $stream, seed $seed, $flavour, archive $maker',
    async ({ stream, seed, flavour, maker: kind }) => {
      const began = performance.now();
      const random = new Random(seed);
      await using folder = await temporaryFolder('moments');
      const store = join(folder.path, 'repository');
      const repository = await openRepository({ url: pathToFileURL(store).href });
      const { version } = await serverOf(flavour);
      const maker =
        kind === 'by the follower' ? followed(repository, folder.path, random) : cutByTest(repository, random, version);
      const wrote = await writeByChance(flavour, maker, random, operations);
      const { timelines, events } = await readArchive(repository);
      const stretches = await statesOf(repository, timelines.length);
      const chosen = Array.from({ length: momentsOfStream }, () => {
        const { from, to, state } = random.pick(stretches);
        return { position: random.between(from, to), state };
      }).sort((a, b) => a.position - b.position);
      const expected = await heldByReference(flavour, wrote.operations, new Set(chosen.map(({ state }) => state)));
      const gaps = events.filter(({ kind }) => kind === 'gap').length;
      let inGap = 0;
      const wrong: string[] = [];
      for (const { position, state } of chosen) {
        const where = `position ${position}, operation ${state} ${JSON.stringify(wrote.operations[Number.parseInt(state, 10)])}`;
        const moment = await findMoment({ repository, instance }, { kind: 'position', position }).catch((error) => {
          // Where the follower was too late for a file, it says so; there must be a gap for that.
          if (gaps > 0 && error.code === 'ARCHIVE_MOMENT_IN_GAP') return undefined;
          throw error;
        });
        if (!moment) inGap += 1;
        else {
          const found = await restored(repository, moment, join(folder.path, 'laid'), flavour);
          const differs = difference(found, expected.get(state) ?? []);
          if (differs.length === 0) shown += 1;
          else wrong.push([where, ...differs].join('; '));
        }
      }
      for (const each of wrote.taken) takenBy(flavour).add(each);
      const { operations: done, rewrites, restarts, kills, promotions } = wrote;
      tell(
        `stream ${stream} seed ${seed} ${flavour} ${kind}: ${chosen.length - wrong.length - inGap} moments equal, ${wrong.length} wrong, ` +
          `${inGap} in ${gaps} gaps (${shown} equal so far); ${done.length} operations, ${rewrites} rewrites, ${restarts} restarts, ` +
          `${kills} kill -9, ${promotions} promotions, ${timelines.length} timelines; ${((performance.now() - began) / 1_000).toFixed(1)} s`,
      );
      expect(wrong).toEqual([]);
      expect(inGap).toBeLessThan(momentsOfStream / 2);
    },
    3_600_000,
  );

  test('which write commands of the servers’ own tables occurred', async () => {
    for (const [flavour, names] of taken) {
      const { commands } = await serverOf(flavour);
      const never = commands.filter((each) => !names.has(each)).sort();
      tell(
        `${flavour}: ${commands.length - never.length} of ${commands.length} write commands occurred; never: ${never.join(' ') || 'none'}`,
      );
      // By chance some do not come in a slice.
      if (wanted >= 1_000) expect(never.filter((each) => !expectedNever.has(each))).toEqual([]);
    }
    expect(shown).toBeGreaterThan(0);
  });

  const servers = new Map<Flavour, ReturnType<typeof writeCommandsOf>>();
  const serverOf = (flavour: Flavour) => {
    const asked = servers.get(flavour) ?? writeCommandsOf(flavour);
    servers.set(flavour, asked);
    return asked;
  };
  const takenBy = (flavour: Flavour) => {
    const names = taken.get(flavour) ?? new Set();
    taken.set(flavour, names);
    return names;
  };
});

/** Of a cluster, and of a vector set, whose graph is drawn by lot. */
const expectedNever = new Set(['cluster|flushslot', 'vadd', 'vrem', 'vsetattr']);

async function restored(
  repository: Parameters<typeof layDown>[0]['repository'],
  moment: Moment,
  dir: string,
  flavour: Flavour,
): Promise<Held> {
  await layDown({ repository, instance }, moment, dir, io);
  const held = await heldByPlainServer(dir, flavour);
  await rm(dir, { recursive: true });
  return held;
}

/** Past the reporter, which holds back what a test writes until it ends. */
function tell(line: string): void {
  process.stderr.write(`moments: ${line}\n`);
}
