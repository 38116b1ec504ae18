import { link, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { withRedis } from '../../redis/connection.ts';
import { keysOf, readInfo } from '../../redis/info.ts';
import { streamAsPrimary } from '../../restore/as-primary/stream-as-primary.ts';
import { type RedisServer, startRedis } from '../../test/support/servers.ts';
import { atLeast, megabytes, type Row, table, timed } from './report.ts';
import type { MixedSet, Stage } from './stage.ts';
import { type Contender, inTurn, ratioOf, secondsOf } from './turns.ts';

const io = { signal: new AbortController().signal, onProgress: () => undefined };
const loadTimeoutMs = 10 * 60_000;
const targetSpeed = 0.85;

/** The whole dataset replaced in a running server over a link, beside a server that is started on the same file. */
export async function benchAsPrimary(stage: Stage, rounds: number): Promise<string> {
  const set = await stage.mixedSet();
  const home = await stage.folder();
  const facts = { highestDatabase: 0, modules: [], usedMemoryBytes: 0 };
  const refused: number[] = [];

  const stream: Contender = {
    name: 'streamed by a process that speaks as its primary, into a server that runs; REPLICAOF to a primary again',
    once: (round) =>
      withServer({}, async (server) => {
        const target = { url: server.url };
        const taken = await secondsOf(async () => {
          const report = await streamAsPrimary({ dumpPath: set.path, facts, target, home }, io);
          if (round > 0) refused.push(report.refusedWritesMs / 1000);
        });
        await expectAll(server, set);
        return taken;
      }),
  };
  const native: Contender = {
    name: 'a native load: the same file, from the start of the server to its first PONG',
    once: async () => {
      const dir = join(home, 'native');
      await mkdir(dir);
      await link(set.path, join(dir, 'dump.rdb'));
      let taken = 0;
      const since = performance.now();
      await withServer({ dir }, async (server) => {
        taken = (performance.now() - since) / 1000;
        await expectAll(server, set);
      });
      await rm(dir, { recursive: true });
      return taken;
    },
  };
  const [ours, theirs] = await inTurn([stream, native], rounds);
  const speed = 1 / ratioOf(ours!, theirs!);
  const fastest = Math.min(...theirs!.seconds) / Math.min(...ours!.seconds);
  const rows: Row[] = [
    {
      what: stream.name,
      figure: `${timed(ours!)}, ${perSecond(set, ours!.seconds)}`,
      ratio: `speed ${speed.toFixed(2)} (fastest ${fastest.toFixed(2)})`,
      goal: atLeast(speed, targetSpeed, ' × the speed of the native load'),
    },
    { what: 'of it, writes were refused for', figure: timed({ name: 'refused', seconds: refused }) },
    { what: native.name, figure: `${timed(theirs!)}, ${perSecond(set, theirs!.seconds)}` },
  ];
  return table(`Whole replacement: ${set.keys} keys, ${megabytes(set.sizeBytes)}, ${rounds} rounds in turn`, rows);
}

async function withServer<T>(options: { dir?: string }, use: (server: RedisServer) => Promise<T>): Promise<T> {
  const server = await startRedis({ ...options, timeoutMs: loadTimeoutMs });
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

async function expectAll(server: RedisServer, { keys }: MixedSet): Promise<void> {
  const found = await withRedis({ url: server.url }, async (redis) => keysOf(await readInfo(redis, 'keyspace')));
  if (found !== keys) throw new Error(`${found} keys are there after the restore, the dump holds ${keys}`);
}

function perSecond({ keys }: MixedSet, seconds: readonly number[]): string {
  return `${Math.round(keys / Math.min(...seconds) / 1000)} k keys/s at best`;
}
