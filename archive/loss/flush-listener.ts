import type { RedisTarget } from '../../redis/connection.ts';
import { login } from '../../redis/psync-handshake.ts';
import { PsyncSocket } from '../../redis/psync-socket.ts';

/** A connection that says nothing for longer is gone; it is asked for a sign of life more often than that. */
const silentMs = 30_000;
const connectMs = 2_000;

/**
 * Hears of every flush as it happens, by client-side caching: `CLIENT TRACKING ON OPTIN` on a connection that never reads a
 * key. Nothing is remembered for it, so that it costs the server nothing at a write; only a flush invalidates everything,
 * and is told to everybody who tracks, within a millisecond or two. SWAPDB is not. A full resynchronization is told, too.
 *
 * @see https://redis.io/docs/latest/develop/reference/client-side-caching/
 * @param onFlush must not throw
 * @throws what ends the connection, a login or a right that is missing
 */
export async function listenForFlushes(target: RedisTarget, signal: AbortSignal, onFlush: () => void): Promise<void> {
  const socket = await PsyncSocket.open(target, { connectTimeoutMs: connectMs, stallTimeoutMs: 3 * silentMs, signal });
  const alive = setInterval(() => socket.send('PING'), silentMs);
  alive.unref();
  try {
    await login(socket, target);
    socket.send('HELLO', '3', 'SETNAME', 'redis-rewind');
    socket.send('CLIENT', 'TRACKING', 'ON', 'OPTIN');
    for (;;) {
      const line = await socket.line();
      // Whatever else the answers say: no word in them is this one, and no key was read that could be told.
      if (line === 'invalidate') onFlush();
      if (/^-(NOPERM|ERR|NOPROTO|NOAUTH)/.test(line)) throw new Error(line.slice(1));
    }
  } finally {
    clearInterval(alive);
    socket.close();
  }
}
