import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import type { StreamDetail } from '../../rdb/content-digest.ts';
import { walkRdb } from '../../rdb/walk.ts';
import { parseInfo, redisTimeMs, serverVersion } from '../../redis/info.ts';
import { LiveBatchReader } from '../../redis/live-content-batch.ts';
import { type CommandTarget, featuresOf } from '../commands/command-target.ts';
import { expiryToPut } from '../keys/expiry-rule.ts';
import { KeySelector } from '../keys/key-selection.ts';
import { RateLimit } from '../keys/rate-limit.ts';
import { type CompareCursor, type CompareFigures, type CompareTask, noCompareFigures } from './compare-task.ts';
import type { ExpectedKey } from './expected-key.ts';
import { ExpectedKeys, type ExpectedKeysOptions } from './expected-keys.ts';
import { KeptKeys } from './kept-keys.ts';
import { keyLine } from './key-line.ts';

/** Keys that are asked for at once, and how many such batches are under way. */
const batchKeys = 500;
const batchesAtOnce = 4;
const blockBytes = 256 * 1024;
/** How often a cursor is told of. */
const cursorEveryMs = 1_000;
/** How far the server's clock is allowed to be from what is reckoned here. */
const clockMarginMs = 1_000;

export interface CompareIO extends StepIO {
  readonly resumeFrom?: CompareCursor;
  readonly onCursor: (cursor: CompareCursor) => void;
}

/** Compares in this process: see `compareKeys`, which gives it a process of its own. */
export async function compareHere(task: CompareTask, io: CompareIO): Promise<CompareFigures> {
  const run = await CompareRun.open(task, io);
  try {
    return await run.run();
  } finally {
    run.close();
  }
}

/** RESTORE puts a hash's fields with the expiry that is inside of the value; commands move it, or cannot say it. */
function fieldExpiryAsPut({ by, ttl, shiftMs }: CompareTask, server: CommandTarget): (atMs: number) => number {
  if (by === 'slices') return (atMs) => atMs;
  if (!featuresOf(server).fieldExpiries) return () => -1;
  return (atMs) => expiryToPut(atMs, ttl, shiftMs);
}

class CompareRun {
  readonly #task: CompareTask;
  readonly #io: CompareIO;
  readonly #reader: LiveBatchReader;
  readonly #expected: ExpectedKeys;
  readonly #rate: RateLimit;
  readonly #nowMs: () => number;
  readonly #figures: { -readonly [Name in keyof CompareFigures]: CompareFigures[Name] };
  readonly #fd: number;
  #differencesBytes: number;
  #queue: ExpectedKey[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #failed: { readonly error: unknown } | undefined;
  #toldAt = performance.now();
  #compared = 0;

  private constructor(
    task: CompareTask,
    io: CompareIO,
    reader: LiveBatchReader,
    facts: Pick<ExpectedKeysOptions, 'nowMs' | 'selector' | 'kept' | 'streamDetail' | 'fieldExpiry'>,
  ) {
    this.#task = task;
    this.#io = io;
    this.#reader = reader;
    this.#nowMs = facts.nowMs;
    this.#figures = { ...(io.resumeFrom?.figures ?? noCompareFigures) };
    this.#rate = new RateLimit({ keysPerSecond: task.keysPerSecond });
    this.#differencesBytes = io.resumeFrom?.differencesBytes ?? 0;
    this.#fd = openSync(task.differencesFile, 'a', 0o600);
    ftruncateSync(this.#fd, this.#differencesBytes);
    this.#expected = new ExpectedKeys({
      ...facts,
      ttl: task.ttl,
      shiftMs: task.shiftMs,
      sample: task.sample,
      fromOffset: task.sample ? 0 : (io.resumeFrom?.offset ?? 0),
      consumerTimes: task.by !== 'commands',
      onKey: (key) => this.#queue.push(key),
      onPassedOver: (why) => this.#figures[why]++,
    });
  }

  static async open(task: CompareTask, io: CompareIO): Promise<CompareRun> {
    const selector = await KeySelector.open(task.selection);
    const kept = task.namesFile === undefined ? undefined : await KeptKeys.read(task.namesFile);
    const consumerTimes = task.by !== 'commands';
    const reader = await LiveBatchReader.open(task.target, { consumerTimes }, io.signal);
    try {
      const ahead = (await redisTimeMs(reader.redis)) - performance.now();
      const server = serverVersion(parseInfo(await reader.redis.info('server')));
      const { name, version } = server;
      // What an older server keeps of a stream (commands alone bring newer dumps there).
      const [major = 0, minor = 0] = version.split('.').map(Number);
      const older = name === 'redis' && (major < 7 || (major === 7 && minor < 2));
      const streamDetail: StreamDetail = !older ? 3 : major < 7 ? 1 : 2;
      return new CompareRun(task, io, reader, {
        nowMs: () => performance.now() + ahead,
        selector,
        kept,
        streamDetail,
        fieldExpiry: fieldExpiryAsPut(task, server),
      });
    } catch (error) {
      reader.close();
      throw error;
    }
  }

  async run(): Promise<CompareFigures> {
    const { dumpPath, sample } = this.#task;
    await walkRdb(this.#blocks(dumpPath), this.#expected, { signal: this.#io.signal });
    if (sample) this.#queue = this.#expected.chosen;
    await this.#send(true);
    await this.#drain();
    return { ...this.#figures };
  }

  close(): void {
    this.#reader.close();
    closeSync(this.#fd);
  }

  /** The dump block by block, no faster than the keys in it are compared. */
  async *#blocks(path: string): AsyncGenerator<Uint8Array> {
    const file = await open(path).catch((cause) => {
      throw new RewindError('RDB_READ_FAILED', `the dump cannot be read: ${cause.message}`, { cause });
    });
    try {
      const { size } = await file.stat();
      const block = Buffer.allocUnsafe(blockBytes);
      for (let at = 0; ; ) {
        const { bytesRead } = await file.read(block, 0, blockBytes, at);
        if (bytesRead === 0) return;
        at += bytesRead;
        yield block.subarray(0, bytesRead);
        await this.#send(false);
        await this.#tell(at, size);
      }
    } finally {
      await file.close();
    }
  }

  /** Asks for the keys in the queue; leaves less than a batch for the next time unless it is the last. */
  async #send(last: boolean): Promise<void> {
    while (this.#queue.length >= (last ? 1 : batchKeys)) {
      this.#io.signal.throwIfAborted();
      const { aliveAt } = this.#queue[0]!;
      const other = this.#queue.slice(0, batchKeys).findIndex((key) => key.aliveAt !== aliveAt);
      const batch = this.#queue.splice(0, other < 0 ? batchKeys : other);
      if (this.#task.keysPerSecond) await this.#rate.before(batch.length, 0, this.#io.signal);
      while (this.#underWay.size >= batchesAtOnce) await Promise.race(this.#underWay);
      if (this.#failed) throw this.#failed.error;
      const comparing = this.#compare(batch, aliveAt).catch((error) => {
        this.#failed ??= { error };
      });
      this.#underWay.add(comparing);
      void comparing.then(() => this.#underWay.delete(comparing));
    }
  }

  async #drain(): Promise<void> {
    await Promise.all(this.#underWay);
    if (this.#failed) throw this.#failed.error;
  }

  async #compare(batch: readonly ExpectedKey[], aliveAt: number): Promise<void> {
    const found = await this.#reader.read(batch, { aliveAt });
    const lines: string[] = [];
    batch.forEach((expected, index) => {
      const live = found[index]!;
      const what = this.#judge(expected, live);
      this.#figures[what]++;
      if (what === 'same' || what === 'expired' || what === 'unreadable') return;
      lines.push(keyLine(expected.db, expected.key, { outcome: what }));
    });
    this.#compared += batch.length;
    if (lines.length === 0) return;
    const bytes = Buffer.from(lines.join(''));
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    this.#differencesBytes += bytes.length;
  }

  #judge(expected: ExpectedKey, live: Awaited<ReturnType<LiveBatchReader['read']>>[number]): keyof CompareFigures {
    const { othersMayWrite } = this.#task;
    if (live.state === 'absent') {
      const goneAt = Math.min(
        expected.expireAtMs < 0 ? Number.POSITIVE_INFINITY : expected.expireAtMs,
        expected.fieldsExpireAtMs,
      );
      if (goneAt <= this.#nowMs() + clockMarginMs) return 'expired';
      return othersMayWrite ? 'goneSince' : 'missing';
    }
    if (live.state === 'unsupported' && expected.digest === undefined) return 'unreadable';
    if (live.state === 'present' && live.digest === expected.digest) return 'same';
    return othersMayWrite ? 'changedSince' : 'differing';
  }

  async #tell(done: number, total: number): Promise<void> {
    const now = performance.now();
    if (now - this.#toldAt < cursorEveryMs) return;
    this.#toldAt = now;
    const note = `${this.#compared} keys compared`;
    this.#io.onProgress({ phase: 'compare', done, total, unit: 'bytes', note });
    if (this.#task.sample) return;
    const offset = this.#expected.readTo;
    await this.#send(true);
    await this.#drain();
    this.#io.onCursor({ offset, figures: { ...this.#figures }, differencesBytes: this.#differencesBytes });
  }
}
