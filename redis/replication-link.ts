import { RewindError } from '../errors/rewind-error.ts';
import { addressOf, connectionError, type RedisTarget } from './connection.ts';
import { PsyncSocket } from './psync-socket.ts';

const connectTimeoutMs = 10_000;
const ackEveryMs = 1_000;
/** Silence after which a link is given up, where nobody says otherwise. */
const usualStallMs = 60_000;

/** @throws REDIS_UNREACHABLE, REDIS_REFUSED_LOGIN; the signal's reason when aborted */
export function openLink(
  target: RedisTarget,
  { signal, stallTimeoutMs = usualStallMs }: { readonly signal?: AbortSignal; readonly stallTimeoutMs?: number },
): Promise<PsyncSocket> {
  return PsyncSocket.open(target, { connectTimeoutMs, stallTimeoutMs, signal }).catch((error: unknown) => {
    throw signal?.aborted ? error : connectionError(target, error);
  });
}

/** Tells the server that we live and have nothing: an offset of 0 never satisfies a WAIT for a write. */
export const acknowledgeNothing = (socket: PsyncSocket): void => socket.send('REPLCONF', 'ACK', '0');

/** Tells it once a second, as long as the link is there. */
export function keepLink(socket: PsyncSocket): void {
  const clock = setInterval(() => acknowledgeNothing(socket), ackEveryMs);
  socket.onClose(() => clearInterval(clock));
}

/** What ended a link, as an error of ours. */
export function asInterrupted(target: RedisTarget, error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason;
  if (error instanceof RewindError) return error;
  return new RewindError(
    'REDIS_DUMP_INTERRUPTED',
    `The connection to Redis at ${addressOf(target)} broke: ${error instanceof Error ? error.message : String(error)}`,
    { cause: error },
  );
}
