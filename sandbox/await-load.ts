import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { RewindError } from '../errors/rewind-error.ts';
import type { LeashedExit, LeashedProcess } from '../process/leash.ts';
import { connectRedis } from '../redis/connection.ts';
import { type Info, infoNumber, readInfo } from '../redis/info.ts';

export interface LoadingServer {
  readonly process: LeashedProcess;
  readonly socket: string;
  readonly password: string;
  readonly logFile: string;
  /** It is given up when it uses more, in bytes. */
  readonly maxMemoryBytes: number;
}

/** How a load ended. Only `loaded` has a server to ask; its connection is the caller's to close. */
export type LoadEnd =
  | { readonly outcome: 'loaded'; readonly redis: Redis; readonly info: Info }
  | { readonly outcome: 'refused'; readonly reason: string }
  | { readonly outcome: 'too-large'; readonly usedBytes: number };

/**
 * Waits until a server of our own has loaded what it was started on.
 *
 * @throws SANDBOX_SERVER_ENDED when it was killed from outside, which says nothing of what it loads
 */
export async function awaitLoad(
  server: LoadingServer,
  io: { readonly signal: AbortSignal; readonly onProgress: (loadedBytes: number, totalBytes: number) => void },
): Promise<LoadEnd> {
  const { process, socket, password, logFile, maxMemoryBytes } = server;
  let ended: LeashedExit | undefined;
  process.exited.then((exit) => {
    ended = exit;
  });
  let redis: Redis | undefined;
  let end: LoadEnd | undefined;
  try {
    for (;;) {
      io.signal.throwIfAborted();
      if (ended) return await refusal(ended, logFile);
      redis ??= await connectRedis({ url: `unix://${socket}`, password }).catch(() => undefined);
      const info = redis && (await readInfo(redis, 'everything').catch(() => undefined));
      if (redis && info) {
        const usedBytes = infoNumber(info, 'used_memory') ?? 0;
        if (usedBytes > maxMemoryBytes) return { outcome: 'too-large', usedBytes };
        if (info.loading === '0' && info.async_loading !== '1') return (end = { outcome: 'loaded', redis, info });
        io.onProgress(infoNumber(info, 'loading_loaded_bytes') ?? 0, infoNumber(info, 'loading_total_bytes') ?? 0);
      }
      await sleep(redis ? 50 : 20, undefined, { signal: io.signal });
    }
  } finally {
    if (!end) redis?.disconnect();
  }
}

/** The server's own words on why it would not load, without what stands in quotes (key names). */
async function refusal(exit: LeashedExit, logFile: string): Promise<LoadEnd> {
  if (exit.signal === 'SIGKILL' || exit.signal === 'SIGTERM') {
    throw new RewindError('SANDBOX_SERVER_ENDED', `The sandbox’s server was ended from outside (${exit.signal}).`);
  }
  const log = await readFile(logFile, 'utf8').catch(() => '');
  // Up to 7.0 the lines of its start are as important to it as those of the refusal.
  const words = log
    .slice(Math.max(0, log.indexOf('Server initialized')))
    .split('\n')
    .filter((line) => / # /.test(line) && !/WARNING|oO0O|Configuration|Reading config| version=|is starting/.test(line))
    .map((line) => line.replace(/^.*? # /, '').replace(/'[^']*'|"[^"]*"/g, '‹…›'))
    .slice(0, 2)
    .join('; ');
  return { outcome: 'refused', reason: words || `it ended with ${exit.signal ?? `exit code ${exit.code}`}` };
}
