import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dataDigest, debugAllowed } from './data-digest.ts';
import { type RedisServer, startRedis } from './servers.ts';
import { temporaryFolder } from './temporary-folder.ts';

/**
 * What a plain server holds that was given the same append-only file without the newest of a command, cut out by the letters
 * of it: nothing of the product has a part in it.
 */
export async function digestWithout(redis: RedisServer, ...command: readonly string[]): Promise<string> {
  await using folder = await temporaryFolder('without-command');
  const there = join(folder.path, 'appendonlydir');
  await cp(join(redis.dir, 'appendonlydir'), there, { recursive: true });
  const lower = Buffer.from(written(command));
  const upper = Buffer.from(written(command.map((word) => word.toUpperCase())));
  let cut = 0;
  for (const name of await readdir(there)) {
    const bytes = await readFile(join(there, name));
    const at = Math.max(bytes.lastIndexOf(lower), bytes.lastIndexOf(upper));
    if (!name.endsWith('.incr.aof') || at < 0) continue;
    cut += 1;
    await writeFile(join(there, name), Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + lower.length)]));
  }
  if (cut !== 1) throw new Error(`${command.join(' ')} stands in ${cut} files`);
  const server = await startRedis({ dir: folder.path, config: { ...debugAllowed(), appendonly: 'yes' } });
  return dataDigest(server).finally(() => server.stop());
}

const written = (words: readonly string[]): string =>
  [`*${words.length}`, ...words.flatMap((word) => [`$${word.length}`, word])].map((line) => `${line}\r\n`).join('');
