import type { RedisTarget } from '../redis/connection.ts';
import { connectionError } from '../redis/connection.ts';
import { type Info, infoNumber, parseInfo } from '../redis/info.ts';
import { PsyncSocket } from '../redis/psync-socket.ts';

/** How a server that has just been started stands. */
export type LoadState =
  | { readonly state: 'silent' }
  | {
      readonly state: 'loading';
      readonly loadedBytes: number;
      readonly totalBytes: number;
      readonly etaSeconds?: number;
      readonly usedMemoryBytes: number;
    }
  | { readonly state: 'loaded'; readonly runId: string };

const askTimeoutMs = 3_000;
/** Longest answer to INFO that is read. */
const answerLimit = 1024 * 1024;

/**
 * Asks a server how far its load is. By a connection of its own, because a server that loads refuses every PING, and
 * answers INFO.
 *
 * @throws REDIS_REFUSED_LOGIN when it answers, and not to us
 */
export async function askLoadState(target: RedisTarget): Promise<LoadState> {
  const socket = await PsyncSocket.open(target, { connectTimeoutMs: askTimeoutMs, stallTimeoutMs: askTimeoutMs }).catch(
    () => undefined,
  );
  if (!socket) return { state: 'silent' };
  try {
    if (target.password !== undefined) {
      const user = decodeURIComponent(new URL(target.url).username);
      socket.send('AUTH', ...(user ? [user] : []), target.password);
      refuseLogin(target, await socket.line());
    }
    const info = {
      ...(await ask(socket, target, 'server')),
      ...(await ask(socket, target, 'persistence')),
      ...(await ask(socket, target, 'memory')),
    };
    if (info.loading !== '1') return { state: 'loaded', runId: info.run_id ?? '' };
    return {
      state: 'loading',
      loadedBytes: infoNumber(info, 'loading_loaded_bytes') ?? 0,
      totalBytes: infoNumber(info, 'loading_total_bytes') ?? 0,
      etaSeconds: infoNumber(info, 'loading_eta_seconds'),
      usedMemoryBytes: infoNumber(info, 'used_memory') ?? 0,
    };
  } catch (error) {
    if ((error as { code?: string }).code === 'REDIS_REFUSED_LOGIN') throw error;
    return { state: 'silent' };
  } finally {
    socket.close();
  }
}

async function ask(socket: PsyncSocket, target: RedisTarget, section: string): Promise<Info> {
  socket.send('INFO', section);
  const header = await socket.line();
  refuseLogin(target, header);
  const length = Number(/^\$(\d{1,7})$/.exec(header)?.[1]);
  if (!(length <= answerLimit)) throw new Error('no answer to INFO');
  return parseInfo((await socket.bytes(length + 2)).toString('latin1'));
}

function refuseLogin(target: RedisTarget, answer: string): void {
  if (!answer.startsWith('-') || answer.startsWith('-LOADING')) return;
  const error = connectionError(target, new Error(answer.slice(1, 200)));
  throw error;
}
