import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { StepIO } from '../process/step-io.ts';
import type { Repository } from './repository.ts';

/**
 * Brings an object onto this machine's disk.
 *
 * @param path of a file that this user alone may read afterwards
 * @returns the SHA-256 of what came, in hexadecimal digits
 */
export async function download(
  repository: Repository,
  { key, sizeBytes }: { readonly key: string; readonly sizeBytes: number },
  path: string,
  io: StepIO,
): Promise<string> {
  const hash = createHash('sha256');
  let done = 0;
  await pipeline(
    await repository.read(key, { signal: io.signal }),
    async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        hash.update(chunk);
        done += chunk.length;
        io.onProgress({ phase: 'download', done, total: sizeBytes, unit: 'bytes' });
        yield chunk;
      }
    },
    createWriteStream(path, { mode: 0o600 }),
    { signal: io.signal },
  );
  return hash.digest('hex');
}
