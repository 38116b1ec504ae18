import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { scanAof } from '../../aof/scan.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import { serverChecker } from '../../incident/corruption/server-checker.ts';
import { Random } from '../../scripts/bench/random.ts';
import { resp, timestamp } from '../support/aof-file.ts';
import { byteMutations } from '../support/byte-mutations.ts';
import { sandboxServer } from '../support/corruption.ts';
import { debugAllowed } from '../support/data-digest.ts';
import { connectTo } from '../support/dataset.ts';
import { difference, heldBy, heldByPlainServer } from '../support/moment-digest.ts';
import { MomentWriter } from '../support/moment-writer.ts';
import { inChunks } from '../support/rdb-content.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** `npm run test:mutants` reads tens of thousands; `npm test` a slice. */
const mutants = Number(process.env.REWIND_AOF_MUTANTS ?? 3_000);
const judged = process.env.REWIND_AOF_MUTANTS === undefined ? 12 : 400;
const seed = Number(process.env.REWIND_SEED ?? (process.env.REWIND_AOF_MUTANTS === undefined ? 1 : Date.now() % 1e6));
/** Of one mutant of some kilobytes, on however busy a machine; one that hangs takes for ever. */
const slowestMs = 10_000;

interface Reading {
  readonly code: string;
  /** `[start, end]` of each command. */
  readonly commands: readonly (readonly [number, number])[];
}

async function read(bytes: Buffer, chunk: number): Promise<Reading> {
  const commands: [number, number][] = [];
  try {
    await scanAof(inChunks(bytes, chunk), { command: ({ start, end }) => commands.push([start, end]) });
    return { code: 'accepted', commands };
  } catch (error) {
    // Anything else is no answer, and fails the test with its stack.
    if (!(error instanceof RewindError)) throw error;
    expect(error.code).toMatch(/^(AOF_CORRUPT|AOF_TRUNCATED|RDB_[A-Z_]+)$/);
    expect(Number(error.details.offset)).toBeLessThanOrEqual(bytes.length);
    return { code: `${error.code} at ${error.details.offset}`, commands };
  }
}

/** What stands between two commands is annotations; a command is one array of strings that end where they say. */
function assertRight(bytes: Buffer, { commands }: Reading, how: string): void {
  let at = 0;
  for (const [start, end] of commands) {
    expect(bytes.toString('latin1', at, start), how).toMatch(/^(#[^\n]*\n)*$/);
    expect(wordsOf(bytes.subarray(start, end)), how).toBeDefined();
    at = end;
  }
  // A server takes an annotation that is cut off for one, too: nothing is lost with it.
  expect(bytes.toString('latin1', at), how).toMatch(/^(#[^\n]*\n)*(#[^\n]*)?$/);
}

function wordsOf(command: Buffer): Buffer[] | undefined {
  let at = 0;
  const number = (mark: string) => {
    const end = command.indexOf('\r\n', at);
    const [, digits] = new RegExp(`^\\${mark}(\\d+)$`).exec(command.toString('latin1', at, end)) ?? [];
    at = end + 2;
    return digits === undefined ? Number.NaN : Number(digits);
  };
  const words: Buffer[] = [];
  for (let left = number('*'); left > 0; left--) {
    const length = number('$');
    words.push(command.subarray(at, at + length));
    at += length;
    if (command.toString('latin1', at, at + 2) !== '\r\n') return undefined;
    at += 2;
  }
  return at === command.length ? words : undefined;
}

/** By what a real server wrote, and by hand: what breaks tools that cut line by line, at every boundary. */
async function corpus(): Promise<Buffer[]> {
  const server = await startRedis({
    config: {
      appendonly: 'yes',
      appendfsync: 'no',
      'aof-timestamp-enabled': 'yes',
      'auto-aof-rewrite-percentage': '0',
    },
  });
  const [redis, other] = [await connectTo(server), await connectTo(server)];
  const writer = new MomentWriter(new Random(seed));
  for (let i = 0; i < 60; i++) await writer.step(redis, other);
  const written = await readFile(join(server.dir, 'appendonlydir', 'appendonly.aof.1.incr.aof'));
  redis.disconnect();
  other.disconnect();
  await server.stop();
  const nasty = [
    '',
    '\0',
    '\r\n',
    '\r',
    '\n',
    '*1\r\n$8\r\nflushall\r\n',
    '#TS:1\r\n',
    '$-1\r\n',
    'plain',
    '\r\nEXEC\r\n',
  ];
  const byHand = [resp('SELECT', 0), timestamp(1_700_000_000)];
  for (const [i, word] of nasty.entries()) {
    byHand.push(resp('SET', word, word), resp('MULTI'), resp('RPUSH', `l${word}`, ...nasty), resp('SELECT', i % 4));
    byHand.push(resp('HSET', 'h', word, `${word}plain${word}`), resp('EXEC'), timestamp(1_700_000_001 + i));
  }
  return [written, Buffer.concat(byHand)];
}

test(`${mutants} mutated append-only files are read right or refused by a code, as real servers do (REWIND_SEED=${seed})`, {
  timeout: 3_600_000,
}, async () => {
  const random = new Random(seed);
  await using folder = await temporaryFolder('aof-mutants');
  const bases = await corpus();
  for (const base of bases) expect((await read(base, base.length)).code).toBe('accepted');
  const kinds = Object.entries(byteMutations);
  const figures = {
    accepted: 0,
    refused: 0,
    checked: 0,
    checkerLenient: 0,
    checkerStricter: 0,
    loaded: 0,
    notComparable: 0,
  };
  const server = await startRedis({ config: debugAllowed() });
  const checker = await sandboxServer('redis-7.0');
  const before = process.memoryUsage().rss;
  try {
    for (let i = 0; i < mutants; i++) {
      const [kind, mutate] = kinds[i % kinds.length]!;
      const mutant = Buffer.from(mutate(Buffer.from(random.pick(bases)), random));
      const how = `mutant ${i} of seed ${seed}, ${kind}`;
      const since = performance.now();
      const reading = await read(mutant, mutant.length + 1);
      // However the bytes arrive, the answer is one.
      const sliced = await read(mutant, random.pick([1, 2, 3, 7, 64, random.between(1, 4_000)]));
      expect(sliced, how).toEqual(reading);
      expect(performance.now() - since, how).toBeLessThan(slowestMs);
      if (reading.code !== 'accepted') {
        figures.refused += 1;
        if (figures.checked - figures.loaded < judged && i % 7 === 0) await compareRefusal(mutant);
        continue;
      }
      figures.accepted += 1;
      assertRight(mutant, reading, how);
      if (figures.loaded + figures.notComparable < judged) await compareLoad(mutant, reading, how);
    }
  } finally {
    await server.stop();
    process.stderr.write(`aof mutants: seed ${seed}: ${JSON.stringify(figures)}\n`);
  }
  expect(figures.loaded).toBeGreaterThan(0);
  expect(process.memoryUsage().rss - before).toBeLessThan(512 * 1024 * 1024);

  async function checked(mutant: Buffer): Promise<string> {
    const path = join(folder.path, 'mutant.aof');
    await writeFile(path, mutant);
    figures.checked += 1;
    return String(await serverChecker(checker, 'aof', path, AbortSignal.timeout(60_000)));
  }

  /** A server reads some numbers that none of them writes (+3, a missing line end): that is not held against us. */
  async function compareRefusal(mutant: Buffer): Promise<void> {
    if (mutant.length > 0 && (await checked(mutant)).includes('finds nothing')) figures.checkerLenient += 1;
  }

  async function compareLoad(mutant: Buffer, reading: Reading, how: string): Promise<void> {
    if (mutant.length > 0) {
      const said = await checked(mutant);
      if (!said.includes('finds nothing')) {
        // A MULTI within one, or an EXEC without: the server passes it, and only that has the last word.
        expect(said, how).toMatch(/unexpected (MULTI|EXEC)/i);
        figures.checkerStricter += 1;
      }
    }
    // A key whose time is over, where its DEL was cut off: a server that loads takes it away whenever it comes by.
    if (/AT\r\n\$13\r\n1/i.test(mutant.toString('latin1'))) {
      figures.notComparable += 1;
      return;
    }
    const dir = join(folder.path, 'loaded');
    await mkdir(join(dir, 'appendonlydir'), { recursive: true });
    await writeFile(join(dir, 'appendonlydir', 'appendonly.aof.1.incr.aof'), mutant);
    await writeFile(
      join(dir, 'appendonlydir', 'appendonly.aof.manifest'),
      'file appendonly.aof.1.incr.aof seq 1 type i\n',
    );
    try {
      const said = await tell(server, mutant, reading);
      // Who loads a file looks neither at names nor at numbers of arguments before it runs a command, and queues a MULTI
      // within one, for which a client's transaction is given up.
      if (/-ERR (unknown command|wrong number of arguments|unknown subcommand)|-EXECABORT/i.test(said)) {
        figures.notComparable += 1;
        return;
      }
      const redis = await connectTo(server);
      const expected = await heldBy(redis).finally(() => redis.disconnect());
      const found = await heldByPlainServer(dir, 'redis-7.0');
      expect(difference(found, expected), how).toEqual([]);
      figures.loaded += 1;
    } finally {
      await rm(dir, { recursive: true });
    }
  }
});

/** Sends a server the commands as they stand in the file. @returns its answers */
async function tell({ port, url }: RedisServer, bytes: Buffer, { commands }: Reading): Promise<string> {
  const redis = await connectTo({ port, url } as RedisServer);
  await redis.flushall();
  await redis.call('FUNCTION', 'FLUSH');
  redis.disconnect();
  const end = 'all-was-sent';
  return new Promise((settle, reject) => {
    const socket = connect({ port, host: '127.0.0.1' });
    let answers = '';
    socket.once('error', reject);
    socket.once('close', () => settle(answers));
    socket.setTimeout(60_000, () => socket.destroy());
    socket.on('data', (chunk) => {
      answers += chunk.toString('latin1');
      if (answers.endsWith(`${end}\r\n`)) socket.destroy();
    });
    for (const [start, to] of commands) socket.write(bytes.subarray(start, to));
    socket.write(resp('ECHO', end));
  });
}
