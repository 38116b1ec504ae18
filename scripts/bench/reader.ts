// node scripts/bench/reader.ts [--keys 2000000] [--file dump.rdb] [--rounds 3]
//
// How fast a dump is read: what the reader does beside what nobody can do without (SHA-256 and CRC-64 of the same bytes), each in
// turn, the best round of each. Without --file the mixed data set is made by a real Redis first. Prints one JSON document with --json.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { Redis } from 'ioredis';
import { ContentDigest } from '../../rdb/content-digest.ts';
import { Crc64 } from '../../rdb/crc64.ts';
import { DiscardValue } from '../../rdb/discard-value.ts';
import { inspectHere } from '../../rdb/inspect-file.ts';
import { isDecoded } from '../../rdb/types.ts';
import { walkRdb } from '../../rdb/walk.ts';
import { startRedis } from '../../test/support/servers.ts';
import { fillServer } from './dataset.ts';

async function eachBlock(path: string, take: (block: Buffer) => void): Promise<void> {
  for await (const block of createReadStream(path, { highWaterMark: 256 * 1024 })) take(block);
}

const measures: Record<string, (path: string) => Promise<unknown>> = {
  'SHA-256 of the file': async (path) => {
    const hash = createHash('sha256');
    await eachBlock(path, (block) => hash.update(block));
    return hash.digest();
  },
  'CRC-64 of the file': async (path) => {
    const crc = new Crc64();
    await eachBlock(path, (block) => crc.update(block));
    return crc.value;
  },
  'walk and check': (path) => walkRdb({ path }, {}, { blocking: true }),
  'walk, check and SHA-256: what a backup does': (path) => inspectHere({ path }, {}),
  'walk, check and decode every value': (path) => {
    const discard = new DiscardValue();
    return walkRdb({ path }, { key: ({ type }) => (isDecoded(type) ? discard : null) }, { blocking: true });
  },
  'walk, check, decode and digest every value': (path) => {
    const digest = new ContentDigest();
    let last = 0;
    return walkRdb(
      { path },
      {
        key: ({ type }) => {
          if (!isDecoded(type)) return null;
          digest.begin(type);
          return digest;
        },
        keyEnd: ({ type, expireAtMs }) => {
          if (isDecoded(type)) last ^= digest.endBytes(expireAtMs)[0]!;
        },
      },
      { blocking: true },
    ).then(() => last);
  },
};

interface Figures {
  /** Megabytes of dump (10^6) a second: by the clock, and by processor time. */
  readonly wallMBps: number;
  readonly cpuMBps: number;
}

/** Each measure in a fresh process, as the product reads: nothing is warm but the file. */
async function runAlone(name: string, path: string): Promise<{ wallMs: number; cpuMs: number }> {
  const args = [fileURLToPath(import.meta.url), '--file', path, '--alone', name];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout);
}

async function alone(name: string, path: string): Promise<void> {
  const cpu = process.cpuUsage();
  const started = performance.now();
  await measures[name]!(path);
  const { user, system } = process.cpuUsage(cpu);
  process.stdout.write(JSON.stringify({ wallMs: performance.now() - started, cpuMs: (user + system) / 1e3 }));
}

async function measure(path: string, rounds: number): Promise<{ megabytes: number; best: Record<string, Figures> }> {
  const megabytes = (await stat(path)).size / 1e6;
  const best: Record<string, Figures> = {};
  for (let round = 0; round < rounds; round++) {
    for (const name of Object.keys(measures)) {
      const { wallMs, cpuMs } = await runAlone(name, path);
      best[name] = {
        wallMBps: Math.max(best[name]?.wallMBps ?? 0, (megabytes / wallMs) * 1e3),
        cpuMBps: Math.max(best[name]?.cpuMBps ?? 0, (megabytes / cpuMs) * 1e3),
      };
    }
  }
  return { megabytes, best };
}

/** Makes the mixed data set and hands its dump to `use`. */
async function withDump<T>(keys: number, use: (path: string) => Promise<T>): Promise<T> {
  const server = await startRedis({ config: { rdbcompression: 'yes' } });
  try {
    process.stderr.write(`making ${keys} keys\n`);
    await fillServer(server.port, { keys });
    const redis = new Redis(server.port, { maxRetriesPerRequest: null });
    await redis.save();
    redis.disconnect();
    return await use(join(server.dir, 'dump.rdb'));
  } finally {
    await server.stop();
  }
}

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '2000000' },
    file: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
    /** Run one measure, in this process. */
    alone: { type: 'string' },
  },
});

async function main(): Promise<void> {
  const rounds = Number(values.rounds);
  const { megabytes, best } =
    values.file === undefined
      ? await withDump(Number(values.keys), (path) => measure(path, rounds))
      : await measure(values.file, rounds);
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ megabytes, rounds, best })}\n`);
    return;
  }
  const reference = Object.values(best)[0]!;
  process.stdout.write(`${megabytes.toFixed(1)} MB, best of ${rounds} rounds, Node ${process.versions.node}\n`);
  for (const [name, { wallMBps, cpuMBps }] of Object.entries(best)) {
    const ratio = (reference.cpuMBps / cpuMBps).toFixed(1);
    const figures = `${wallMBps.toFixed(0).padStart(6)} MB/s by the clock ${cpuMBps.toFixed(0).padStart(6)} MB a processor second`;
    process.stdout.write(`${name.padEnd(50)}${figures}  ${ratio.padStart(5)} × SHA-256's processor time\n`);
  }
}

if (values.alone === undefined) await main();
else await alone(values.alone, values.file!);
