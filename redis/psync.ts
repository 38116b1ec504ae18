import type { RedisTarget } from './connection.ts';
import { askVersion, introduce, login, requestFullSync } from './psync-handshake.ts';
import { readPayload, readPayloadForm } from './psync-payload.ts';
import { asInterrupted, keepLink, openLink } from './replication-link.ts';

export interface DumpProgress {
  /** `saving`: the server prepares the dump; `receiving`: its bytes come. */
  readonly phase: 'saving' | 'receiving';
  readonly receivedBytes: number;
  /** Known where the server saves to disk first. */
  readonly totalBytes?: number;
}

/** A dump on its way. Iterate `chunks` to the end, or call `close`. */
export interface ReceivedDump {
  /** Replication id and offset that the dump stands for. */
  readonly replId: string;
  readonly offset: number;
  /** Undefined where this user may not run INFO. */
  readonly server: { readonly name: 'redis' | 'valkey'; readonly version: string } | undefined;
  /** Undefined for a diskless transfer: nobody knows it before the end. */
  readonly length: number | undefined;
  /** True where the server keeps no buffer of later writes for this transfer (Redis 6.2 and newer). */
  readonly rdbOnly: boolean;
  /** Exactly the dump's bytes, once. Each buffer is the reader's to keep. The connection is closed at the end. */
  readonly chunks: AsyncIterable<Buffer>;
  close(): void;
}

export interface ReceiveDumpOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: DumpProgress) => void;
  /** Default true: ask for the dump without the writes that follow it. */
  readonly rdbOnly?: boolean;
  /** Silence of the server after which the transfer is given up. Default 60,000, as Redis' own `repl-timeout`. */
  readonly stallTimeoutMs?: number;
}

/**
 * Has Redis send a dump the way a replica gets one (https://redis.io/docs/latest/operate/oss_and_stack/management/replication/).
 * Resolves once the first byte is about to come; the server has then finished (disk) or begun (diskless) its save. A
 * save for another replica that is already running may be joined by the server: the dump's `ctime` tells.
 *
 * The server is never told that a write is safe here. With `rdb-only` nothing is acknowledged at all: the server closes
 * its side after the last byte, and an acknowledgement that arrives after that would make its kernel throw away what is
 * still on the way. Without it (older servers) `REPLCONF ACK 0` once a second keeps the link, and counts for no WAIT.
 *
 * For `min-replicas-to-write` it counts as a replica only without `rdb-only`, and with Redis 6.2 between the end of a
 * diskless save and the last byte.
 *
 * A server that had no replica starts a backlog (`repl-backlog-size`) and takes a new replication id, as for any replica.
 *
 * @throws REDIS_UNREACHABLE, REDIS_REFUSED_LOGIN, REDIS_LOADING, REDIS_REPLICA_NOT_IN_SYNC, REDIS_REPLICATION_FORBIDDEN,
 *   REDIS_SAVE_FAILED_FOR_DUMP, REDIS_DUMP_INTERRUPTED, REDIS_REPLICATION_PROTOCOL; the signal's reason when aborted
 */
export async function receiveDump(target: RedisTarget, options: ReceiveDumpOptions = {}): Promise<ReceivedDump> {
  const { signal, onProgress } = options;
  const socket = await openLink(target, { signal, stallTimeoutMs: options.stallTimeoutMs });
  const saving = () => onProgress?.({ phase: 'saving', receivedBytes: 0 });
  try {
    await login(socket, target);
    const server = await askVersion(socket);
    const rdbOnly = await introduce(socket, target, options.rdbOnly ?? true);
    const { replId, offset } = await requestFullSync(socket, target, saving);
    if (!rdbOnly) keepLink(socket);
    const form = await readPayloadForm(socket, target, saving);
    const length = 'length' in form ? form.length : undefined;

    async function* chunks(): AsyncGenerator<Buffer, void, undefined> {
      let receivedBytes = 0;
      try {
        for await (const chunk of readPayload(socket, target, form)) {
          receivedBytes += chunk.length;
          onProgress?.({ phase: 'receiving', receivedBytes, totalBytes: length });
          yield chunk;
        }
      } catch (error) {
        throw asInterrupted(target, error, signal);
      } finally {
        socket.close();
      }
    }
    return { replId, offset, server, length, rdbOnly, chunks: chunks(), close: () => socket.close() };
  } catch (error) {
    socket.close();
    throw asInterrupted(target, error, signal);
  }
}
