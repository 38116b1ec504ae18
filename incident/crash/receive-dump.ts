import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { StepIO } from '../../process/step-io.ts';
import { inspectRdb } from '../../rdb/inspect.ts';
import { receiveDump } from '../../redis/psync.ts';
import { receivedDumpPath } from './start-node.ts';
import { type CopiesAsked, targetAt } from './survey-copies.ts';

/**
 * Has a server that holds a copy send its dump, and looks whether it is whole.
 *
 * @returns the path of the dump, in `folder`
 * @throws REDIS_*, RDB_*
 */
export async function receiveDumpFrom(
  asked: CopiesAsked,
  address: string,
  folder: string,
  io: StepIO,
): Promise<string> {
  const path = receivedDumpPath(folder);
  const part = `${path}.part`;
  try {
    const dump = await receiveDump(targetAt(asked, address), {
      signal: io.signal,
      onProgress: ({ receivedBytes, totalBytes }) =>
        io.onProgress({ phase: 'receive', done: receivedBytes, total: totalBytes, unit: 'bytes' }),
    });
    await pipeline(dump.chunks, createWriteStream(part, { mode: 0o600 }), { signal: io.signal });
    await inspectRdb({ path: part }, { decode: true, signal: io.signal });
    await rename(part, path);
    return path;
  } finally {
    await rm(part, { force: true });
  }
}
