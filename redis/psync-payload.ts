import { RewindError } from '../errors/rewind-error.ts';
import { addressOf, type RedisTarget } from './connection.ts';
import { decimal, unexpected } from './psync-handshake.ts';
import type { PsyncSocket } from './psync-socket.ts';

/** How the dump comes: with its length (saved to disk first), or until a mark that ends it (diskless). */
export type PayloadForm = { readonly length: number } | { readonly mark: Buffer };

/** Length of the random mark of the diskless form (CONFIG_RUN_ID_SIZE in Redis' source). */
const markLength = 40;

/**
 * Waits for the line that introduces the dump: `$<length>` or `$EOF:<mark>`.
 *
 * @param onWait called for each newline that the server sends while it is still saving
 */
export async function readPayloadForm(
  socket: PsyncSocket,
  target: RedisTarget,
  onWait: () => void,
): Promise<PayloadForm> {
  for (;;) {
    const header = await socket.line();
    if (header === '') {
      onWait();
      continue;
    }
    if (header.startsWith('$EOF:')) {
      const mark = Buffer.from(header.slice(5), 'latin1');
      if (mark.length !== markLength) throw unexpected(target, header);
      return { mark };
    }
    const length = header.startsWith('$') ? decimal(header.slice(1)) : undefined;
    if (length === undefined) throw unexpected(target, header);
    return { length };
  }
}

/** The dump's bytes and nothing else; ends when they are complete and leaves what follows unread. */
export async function* readPayload(
  socket: PsyncSocket,
  target: RedisTarget,
  form: PayloadForm,
): AsyncGenerator<Buffer, void, undefined> {
  if ('length' in form) yield* readSized(socket, target, form.length);
  else yield* readMarked(socket, target, form.mark);
}

async function* readSized(socket: PsyncSocket, target: RedisTarget, length: number): AsyncGenerator<Buffer> {
  for (let received = 0; received < length; ) {
    const chunk = await socket.chunk();
    if (!chunk) throw interrupted(target, received, length);
    const part = chunk.length > length - received ? chunk.subarray(0, length - received) : chunk;
    received += part.length;
    socket.unread(chunk.subarray(part.length));
    yield part;
  }
}

/**
 * The mark is 40 random characters that stand after the last byte. It may be cut by any boundary between chunks, so the
 * last 39 bytes are held back until more is there.
 */
async function* readMarked(socket: PsyncSocket, target: RedisTarget, mark: Buffer): AsyncGenerator<Buffer> {
  let held: Buffer = Buffer.alloc(0);
  let received = 0;
  for (;;) {
    const chunk = await socket.chunk();
    if (!chunk) throw interrupted(target, received);
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    const end = held.indexOf(mark);
    const ready = end >= 0 ? end : Math.max(0, held.length - (mark.length - 1));
    if (ready > 0) {
      received += ready;
      yield held.subarray(0, ready);
    }
    if (end >= 0) {
      socket.unread(held.subarray(end + mark.length));
      return;
    }
    held = held.subarray(ready);
  }
}

function interrupted(target: RedisTarget, received: number, length?: number): RewindError {
  return new RewindError(
    'REDIS_DUMP_INTERRUPTED',
    `Redis at ${addressOf(target)} closed the connection after ${received}${length === undefined ? '' : ` of ${length}`} bytes of the dump.`,
    { details: { received, ...(length === undefined ? {} : { length }) } },
  );
}
