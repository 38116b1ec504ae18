import { RewindError } from '../errors/rewind-error.ts';
import { addressOf, type RedisTarget } from './connection.ts';
import { parseInfo } from './info.ts';
import { askInfo, introduce, login, type ReplicationPlace, requestSync, type SyncAnswer } from './psync-handshake.ts';
import { readPayload, readPayloadForm } from './psync-payload.ts';
import { acknowledgeNothing, asInterrupted, keepLink, openLink } from './replication-link.ts';

/** A replication link that stays: the commands that a server executes, as it sends them to its replicas. */
export interface ReplicationStream {
  /**
   * INFO of the very server whose stream this is, from right before: over another connection another one may answer, at an
   * address that has moved or behind which several are. Undefined where this user may not run it.
   */
  readonly info: string | undefined;
  /** Where the stream begins. */
  readonly from: ReplicationPlace;
  /**
   * The state right before `from`, where the server did not go on from the place that was asked for. Its bytes have to be
   * read to their end before the first chunk of the stream.
   */
  readonly dump?: { readonly length: number | undefined; readonly chunks: AsyncIterable<Buffer> };
  /** The next bytes of the stream; undefined where the server has closed the connection. */
  chunk(): Promise<Buffer | undefined>;
  close(): void;
}

export interface ReplicationOptions {
  readonly signal?: AbortSignal;
  /** For each sign of life while the server still saves. */
  readonly onWait?: () => void;
  /** Silence after which the link is given up; a server sends PING every 10 s (`repl-ping-replica-period`). */
  readonly stallTimeoutMs?: number;
}

/**
 * Attaches to a server as a replica does, from a place of its history on, and stays
 * (https://redis.io/docs/latest/operate/oss_and_stack/management/replication/).
 *
 * Nothing is ever acknowledged: `REPLCONF ACK 0` once a second keeps the link, and satisfies no WAIT. For
 * `min-replicas-to-write` the link counts as a replica. Whoever holds it has to read all the time: what is not read
 * grows in the server's memory, until `client-output-buffer-limit replica` ends the link.
 *
 * @param from undefined: a full synchronization
 * @throws REDIS_UNREACHABLE, REDIS_REFUSED_LOGIN, REDIS_LOADING, REDIS_REPLICA_NOT_IN_SYNC, REDIS_REPLICATION_FORBIDDEN,
 *   REDIS_SAVE_FAILED_FOR_DUMP, REDIS_DUMP_INTERRUPTED, REDIS_REPLICATION_PROTOCOL; the signal's reason when aborted
 */
export async function openReplication(
  target: RedisTarget,
  from: ReplicationPlace | undefined,
  { signal, onWait = () => undefined, stallTimeoutMs }: ReplicationOptions = {},
): Promise<ReplicationStream> {
  const socket = await openLink(target, { signal, stallTimeoutMs });
  const told = (error: unknown) => asInterrupted(target, error, signal);
  try {
    await login(socket, target);
    await introduce(socket, target, false);
    const info = await askInfo(socket);
    const answer = await requestSync(socket, target, from, onWait);
    if (info !== undefined && !sameHistory(info, answer)) {
      throw new RewindError(
        'REDIS_DUMP_INTERRUPTED',
        `Redis at ${addressOf(target)} began another replication history while the link was made.`,
      );
    }
    keepLink(socket);
    const close = () => socket.close();
    const chunk = () =>
      socket.chunk().catch((error: unknown) => {
        throw told(error);
      });
    if (answer.sync === 'continue') {
      return { info, from: { replId: answer.replId, offset: from?.offset ?? 0 }, chunk, close };
    }
    const form = await readPayloadForm(socket, target, onWait);
    async function* chunks(): AsyncGenerator<Buffer, void, undefined> {
      try {
        yield* readPayload(socket, target, form);
      } catch (error) {
        socket.close();
        throw told(error);
      }
      // A dump that came without a file is gone on with at the first acknowledgement.
      acknowledgeNothing(socket);
    }
    const { replId, offset } = answer;
    const length = 'length' in form ? form.length : undefined;
    return { info, from: { replId, offset }, dump: { length, chunks: chunks() }, chunk, close };
  } catch (error) {
    socket.close();
    throw told(error);
  }
}

/** A server without a backlog takes another id for its first replica; else what it said of itself has to fit what it sends. */
function sameHistory(info: string, { replId }: SyncAnswer): boolean {
  const { master_replid, repl_backlog_active } = parseInfo(info);
  return master_replid === replId || repl_backlog_active === '0';
}
