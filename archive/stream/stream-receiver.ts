import { setTimeout as sleep } from 'node:timers/promises';
import { RewindError } from '../../errors/rewind-error.ts';
import { addressOf, type RedisTarget } from '../../redis/connection.ts';
import type { ReplicationPlace } from '../../redis/psync-handshake.ts';
import { openReplication, type ReplicationStream } from '../../redis/replication-stream.ts';
import type { FollowOptions } from '../follow/follow-options.ts';
import { type PrimarySigns, type PrimaryWatch, primarySigns } from './primary-watch.ts';
import type { ReceivedChunk, StreamRun } from './stream-run.ts';
import type { StreamSpool } from './stream-spool.ts';

/** A server that is not to be heard is dialled again so often at first, and after a while. */
const firstRetryMs = 100;
const lastRetryMs = 2_000;
/** Of two full synchronizations within so long the link breaks soon: each costs the server a fork, and the next one waits. */
const fullSyncsMs = 60_000;
const afterFullSyncsMs = 30_000;

/** Received and not on the disk yet. */
const mostWaitingBytes = 8 * 1024 * 1024;
/** Written at once. */
const mostChunks = 256;

/** What only a person mends. */
const final = ['REDIS_REFUSED_LOGIN', 'REDIS_REPLICATION_FORBIDDEN'];

/** A server asks with this whether we live, in capitals or not by its version; nobody restores it. */
const pings = ['PING', 'ping'].map((word) => Buffer.from(`*1\r\n$4\r\n${word}\r\n`));
const pingBytes = 14;

/** Several come at once where the machine is busy. */
function isPings(chunk: Buffer): boolean {
  if (chunk.length % pingBytes > 0) return false;
  for (let at = 0; at < chunk.length; at += pingBytes) {
    if (!pings.some((ping) => ping.compare(chunk, at, at + pingBytes) === 0)) return false;
  }
  return true;
}

const isFull = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');

/**
 * - `waiting`: for the server, or for room on the disk
 * - `saving`: the server sends a dump
 * - `receiving`: the link is up
 * - `full`: what waits for the store has reached its limit; the link is closed
 */
export type ReceiverState = 'waiting' | 'saving' | 'receiving' | 'full';

/**
 * Holds the link to the server and puts what comes on the disk, whatever the store does: it reads all the time, so nothing
 * of ours grows in the server. At the limit it closes the link, and goes on once there is room again.
 */
export class StreamReceiver {
  state: ReceiverState = 'waiting';
  note: string | undefined;
  signs: PrimarySigns | undefined;
  /** How often the link was closed for want of room. */
  dropped = 0;
  /** What only a person mends. */
  failed: unknown;
  readonly #spool: StreamSpool;
  readonly #watch: PrimaryWatch;
  readonly #locate: () => Promise<RedisTarget>;
  readonly #resumeAt: ReplicationPlace | undefined;
  readonly #options: Pick<FollowOptions, 'spoolBytes' | 'askMs'>;
  #run: StreamRun | undefined;
  #link: (Pick<ReplicationStream, 'close'> & { readonly runId: string }) | undefined;
  /** When the last two began. */
  #fullSyncs: number[] = [];
  #diskFull = false;
  #noFullSyncBefore = Number.NEGATIVE_INFINITY;

  /** @param from.resumeAt where the repository ends; undefined: with a dump */
  constructor(from: {
    spool: StreamSpool;
    watch: PrimaryWatch;
    locate: () => Promise<RedisTarget>;
    resumeAt: ReplicationPlace | undefined;
    options: Pick<FollowOptions, 'spoolBytes' | 'askMs'>;
  }) {
    this.#spool = from.spool;
    this.#watch = from.watch;
    this.#locate = from.locate;
    this.#resumeAt = from.resumeAt;
    this.#options = from.options;
  }

  /** Until the signal. @throws REDIS_REFUSED_LOGIN, REDIS_REPLICATION_FORBIDDEN */
  async run(signal: AbortSignal): Promise<void> {
    const asking = this.#questions(signal).catch((error) => this.#fail(error));
    try {
      for (let retryMs = firstRetryMs; !signal.aborted && this.failed === undefined; ) {
        const received = await this.#connect(signal).catch((error: unknown) => {
          if (!signal.aborted) this.#say('waiting', error instanceof Error ? error.message : String(error));
          this.#diskFull = isFull(error);
          if (error instanceof RewindError && final.includes(error.code)) this.#fail(error);
          return false;
        });
        retryMs = received ? firstRetryMs : Math.min(lastRetryMs, retryMs * 2);
        await sleep(retryMs, undefined, { signal }).catch(() => undefined);
      }
    } finally {
      await asking;
      this.#watch.close();
    }
  }

  /** The server's clock was set: what follows has other times. */
  clockStepped(fromMs: number, toMs: number): void {
    this.#run?.clockStepped(fromMs, toMs);
    this.#spool.tellGrown();
  }

  #fail(error: unknown): void {
    this.failed ??= error;
    this.#link?.close();
    this.#spool.tellGrown();
  }

  async #questions(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.failed === undefined) {
      const link = this.#link;
      const signs = await this.#watch.ask(await this.#locate().catch(() => ({ url: '' }))).catch((error) => {
        if (error instanceof RewindError && error.code === 'REDIS_REFUSED_LOGIN') throw error;
        return undefined;
      });
      if (signs) this.signs = signs;
      // The address has moved on, and the server that was there lives: nothing but this ends its link.
      if (signs && link && link === this.#link && signs.runId !== link.runId) link.close();
      // A shutdown waits for replicas that have not acknowledged all, which we never do.
      if (signs?.shuttingDown && (this.#run?.end.offset ?? 0) >= signs.offset) this.#link?.close();
      await sleep(this.#options.askMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** @returns whether anything was received */
  async #connect(signal: AbortSignal): Promise<boolean> {
    await this.#room(signal);
    // A dump for a disk that does not take it costs the server a fork for nothing.
    if (this.#diskFull) await this.#spool.proveRoom();
    const target = await this.#locate();
    const asked = await this.#watch.ask(target);
    if (!asked || asked.shuttingDown) {
      this.#say('waiting', asked ? 'Redis is shutting down' : 'Redis does not answer');
      return false;
    }
    if (performance.now() < this.#noFullSyncBefore && !this.#goesOn(asked)) {
      this.#say('waiting', 'the next full synchronization waits: two within a minute came to nothing');
      return false;
    }
    const onWait = () => this.#say('saving', 'Redis saves for a full synchronization');
    const link = await openReplication(target, this.#spool.end ?? this.#resumeAt, { signal, onWait });
    try {
      const signs = await this.#whose(link, target);
      this.signs = signs;
      this.#link = { close: () => link.close(), runId: signs.runId };
      const run = await this.#runOf(link, signs);
      this.#run = run;
      this.#say('receiving');
      await this.#receive(link, run);
      return true;
    } finally {
      link.close();
      this.#link = undefined;
      const [before = Number.NEGATIVE_INFINITY, last = 0] = this.#fullSyncs;
      const often = performance.now() - before < fullSyncsMs && last > before;
      if (often) this.#noFullSyncBefore = performance.now() + afterFullSyncsMs;
    }
  }

  /** By what the server says a link would go on where the last one broke. */
  #goesOn({ replicationId, offset, previousId, previousUpTo = -1, backlogFrom }: PrimarySigns): boolean {
    const at = this.#spool.end ?? this.#resumeAt;
    if (!at || backlogFrom === undefined || at.offset < backlogFrom || at.offset > offset) return false;
    return at.replId === replicationId || (at.replId === previousId && at.offset <= previousUpTo);
  }

  /** What the server says of itself whose stream it is; its clock, too, is asked for before anything of it has a time. */
  async #whose({ info }: ReplicationStream, target: RedisTarget): Promise<PrimarySigns> {
    if (info === undefined) throw new RewindError('REDIS_REFUSED_LOGIN', 'The archive needs INFO.');
    const signs = primarySigns(info, target.url, this.#watch.now());
    const same = async () => (await this.#watch.ask(target))?.runId === signs.runId;
    if (await same()) return signs;
    // The connection may be to one that answered at this address before.
    this.#watch.close();
    if (await same()) return signs;
    throw new RewindError('REDIS_DUMP_INTERRUPTED', `Several servers answer at ${addressOf(target)}, or they change.`);
  }

  /** Until the link ends, or no more may wait for the store. Reads on while the disk takes what came before. */
  async #receive(link: ReplicationStream, run: StreamRun): Promise<void> {
    let waiting: ReceivedChunk[] = [];
    let waitingBytes = 0;
    let writing: Promise<void> | undefined;
    let failed: { readonly error: unknown } | undefined;
    const write = async () => {
      while (waiting.length > 0) {
        const batch = waiting.splice(0, mostChunks);
        waitingBytes -= batch.reduce((sum, { bytes }) => sum + bytes.length, 0);
        await run.append(batch);
        this.#spool.tellGrown();
      }
    };
    const writeOn = () => {
      writing ??= write()
        .catch((error: unknown) => {
          failed = { error };
          waiting = [];
          waitingBytes = 0;
          link.close();
        })
        .finally(() => {
          writing = undefined;
          // What came between its last look and now.
          if (waiting.length > 0) writeOn();
        });
    };
    try {
      for (;;) {
        const chunk = await link.chunk();
        if (failed) break;
        if (!chunk) {
          this.#say('waiting', 'Redis closed the replication link');
          break;
        }
        waiting.push({ bytes: chunk, seenMs: isPings(chunk) ? undefined : this.#watch.now() });
        waitingBytes += chunk.length;
        writeOn();
        while (waitingBytes > mostWaitingBytes && writing) await writing;
        if (this.#spool.unshippedBytes > this.#options.spoolBytes) {
          this.dropped += 1;
          const { spoolBytes } = this.#options;
          this.#say(
            'full',
            `${spoolBytes} bytes wait for a store that does not take them: the replication link is closed`,
          );
          break;
        }
      }
    } catch (error) {
      // Of a link that is closed because the disk takes no more the disk is the reason.
      throw failed ? failed.error : error;
    } finally {
      while (writing) await writing;
    }
    if (failed) throw failed.error;
  }

  async #runOf(link: ReplicationStream, signs: PrimarySigns): Promise<StreamRun> {
    const spool = this.#spool;
    if (link.dump) {
      this.#say('saving', 'Redis sends a dump');
      this.#fullSyncs = [...this.#fullSyncs.slice(-1), performance.now()];
      return spool.beginWithDump(link.from, link.dump.chunks, this.#watch.now(), signs);
    }
    const run = spool.runs.at(-1) ?? (await spool.goOn(this.#resumeAt!, signs));
    if (link.from.replId !== run.end.replId) await run.crossTo(link.from.replId, this.#watch.now(), signs);
    return run;
  }

  /** Until half of what may wait has gone. */
  async #room(signal: AbortSignal): Promise<void> {
    while (this.state === 'full' && this.#spool.unshippedBytes > this.#options.spoolBytes / 2) {
      await sleep(this.#options.askMs, undefined, { signal });
    }
  }

  #say(state: ReceiverState, note?: string): void {
    this.state = state;
    this.note = note;
    this.#spool.tellGrown();
  }
}
