import { copyFile, mkdir, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Redis } from 'ioredis';
import type { PersistenceSettings } from '../../incident/corruption/settings.ts';
import type { StepIO } from '../../process/step-io.ts';
import { ContentDigest } from '../../rdb/content-digest.ts';
import { isDecoded } from '../../rdb/types.ts';
import { walkRdb } from '../../rdb/walk.ts';
import { findServers, type SandboxServer } from '../../sandbox/servers.ts';
import type { Random } from '../../scripts/bench/random.ts';
import { type Flavour, redisBinary } from './servers.ts';

export const quietIO: StepIO = { signal: new AbortController().signal, onProgress: () => {} };

const versions: Record<Flavour, string> = {
  'redis-6.2': '6.2.14',
  'redis-7.0': '7.0.15',
  'redis-8.2': '8.2.3',
  'valkey-8': '8.1.8',
  'valkey-9': '9.1.2',
};

export function settingsOf(flavour: Flavour, more: Partial<PersistenceSettings> = {}): PersistenceSettings {
  return {
    dbfilename: 'dump.rdb',
    appendonly: false,
    appendfilename: 'appendonly.aof',
    appenddirname: 'appendonlydir',
    serverVersion: versions[flavour],
    serverName: flavour.startsWith('valkey') ? 'valkey' : 'redis',
    ...more,
  };
}

export async function sandboxServer(flavour: Flavour): Promise<SandboxServer> {
  return (await findServers([redisBinary(flavour)]))[0]!;
}

/**
 * `db key` (latin1) → digest of its content, of a dump.
 *
 * @param streams without it a stream is only there: replayed commands give its consumers other times
 */
export async function digestsOf(path: string, { streams = true } = {}): Promise<Map<string, string>> {
  const digests = new Map<string, string>();
  const digest = new ContentDigest();
  let name = '';
  await walkRdb(
    { path },
    {
      key: (entry) => {
        name = `${entry.db} ${entry.copyKey().toString('latin1')}`;
        if (!isDecoded(entry.type) || (entry.type === 'stream' && !streams)) return null;
        digest.begin(entry.type);
        return digest;
      },
      keyEnd: ({ type, expireAtMs }) => {
        const digested = isDecoded(type) && (type !== 'stream' || streams);
        digests.set(name, digested ? digest.end(expireAtMs) : type);
      },
    },
  );
  return digests;
}

type Damager = (file: Buffer, random: Random) => Buffer;

/** What disks, copies and people do to files. The first nine bytes are left alone, but by the last one. */
export const damagers: Record<string, Damager> = {
  'a flipped bit': (file, random) => {
    file[random.between(9, file.length - 9)]! ^= 1 << random.below(8);
    return file;
  },
  'a stretch of zeroes': (file, random) => {
    const at = random.between(9, file.length - 9);
    return file.fill(0, at, Math.min(file.length, at + random.between(8, 4096)));
  },
  'a stretch of noise': (file, random) => {
    const at = random.between(9, file.length - 600);
    file.set(random.bytes(random.between(8, 512)), at);
    return file;
  },
  'a cut': (file, random) => file.subarray(0, random.between(9, file.length - 9)),
  'a piece missing': (file, random) => {
    const at = random.between(9, file.length - 6000);
    return Buffer.concat([file.subarray(0, at), file.subarray(at + random.between(1, 5000))]);
  },
  'a piece twice': (file, random) => {
    const at = random.between(9, file.length - 6000);
    return Buffer.concat([file.subarray(0, at + random.between(1, 3000)), file.subarray(at)]);
  },
};

/** The first byte in which two files differ. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

/** What a loaded server holds, by its own save. */
export async function contentOf(redis: Redis): Promise<Map<string, string>> {
  const [, dir] = (await redis.config('GET', 'dir')) as [string, string];
  const [, name] = (await redis.config('GET', 'dbfilename')) as [string, string];
  await redis.save();
  return digestsOf(join(dir, name), { streams: false });
}

export async function copyTree(from: string, to: string): Promise<void> {
  for (const name of await readdir(from, { recursive: true })) {
    if (!(await stat(join(from, name))).isFile()) continue;
    await mkdir(dirname(join(to, name)), { recursive: true });
    await copyFile(join(from, name), join(to, name));
  }
}
