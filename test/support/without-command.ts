import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dataDigest, debugAllowed } from './data-digest.ts';
import { type RedisServer, startRedis } from './servers.ts';
import { temporaryFolder } from './temporary-folder.ts';

/**
 * What a plain server holds that was given the same append-only file without the newest of each command, cut out by the
 * letters of it: nothing of the product has a part in it.
 */
export async function digestWithout(redis: RedisServer, ...commands: readonly string[][]): Promise<string> {
  await using folder = await temporaryFolder('without-command');
  const there = join(folder.path, 'appendonlydir');
  await cp(join(redis.dir, 'appendonlydir'), there, { recursive: true });
  for (const command of commands) await cutOut(there, command);
  const server = await startRedis({ dir: folder.path, config: { ...debugAllowed(), appendonly: 'yes' } });
  return dataDigest(server).finally(() => server.stop());
}

async function cutOut(folder: string, command: readonly string[]): Promise<void> {
  const lower = Buffer.from(written(command));
  const upper = Buffer.from(written(command.map((word) => word.toUpperCase())));
  const incrs = (await readdir(folder)).filter((name) => name.endsWith('.incr.aof'));
  const seqOf = (name: string) => Number(/\.(\d+)\.incr\.aof$/.exec(name)?.[1]);
  for (const name of incrs.sort((a, b) => seqOf(b) - seqOf(a))) {
    const bytes = await readFile(join(folder, name));
    const at = Math.max(bytes.lastIndexOf(lower), bytes.lastIndexOf(upper));
    if (at < 0) continue;
    await writeFile(join(folder, name), Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + lower.length)]));
    return;
  }
  throw new Error(`${command.join(' ')} stands in no file`);
}

const written = (words: readonly string[]): string =>
  [`*${words.length}`, ...words.flatMap((word) => [`$${word.length}`, word])].map((line) => `${line}\r\n`).join('');
