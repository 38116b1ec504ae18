import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { RewindError } from '../../errors/rewind-error.ts';
import { RdbWalker, type WalkStart } from '../../rdb/walker.ts';
import { addressOf } from '../../redis/connection.ts';
import type { CommandFacts } from '../commands/command-facts.ts';
import type { Acknowledged } from './acknowledged.ts';
import { Batch } from './batch.ts';
import { CommandPart } from './command-part.ts';
import { CommandWriter } from './command-writer.ts';
import type { ConflictNames } from './conflict-names.ts';
import { blockBytes, DumpTape } from './dump-tape.ts';
import type { DumpWriter, DumpWriterOptions } from './dump-writer.ts';
import type { PutKeysFigures } from './figures.ts';
import { type Conflict, KeyConflicts } from './key-conflicts.ts';
import type { KeySelector } from './key-selection.ts';
import { loadLibrary } from './libraries.ts';
import type { LiveWatch } from './live-watch.ts';
import { bodyBytes, readBody, sendLongValue } from './long-value.ts';
import { Library, LongValue, type Part } from './part.ts';
import { payloadVersion } from './payload-version.ts';
import { command, type Pipeline, refusal, type Sent } from './pipeline.ts';
import type { PutKeysIO } from './put-keys-here.ts';
import type { PutKeysTask } from './put-keys-task.ts';
import { RateLimit } from './rate-limit.ts';
import type { ResumePoint } from './resume-point.ts';
import { SameContent } from './same-content.ts';
import { SliceWriter } from './slice-writer.ts';
import { StringBatch } from './string-batch.ts';
import type { TargetFacts } from './target-facts.ts';
import { TemporaryKeys } from './temporary-keys.ts';
import { TogetherTally } from './together-tally.ts';
import { slotKeys, WorkMemory } from './work-memory.ts';

const tellEveryMs = 200;
/** Batches that one block can fill, strings and others, with the two that a long value takes. */
const slotsForBlock = 8;
/** Most keys of a batch where the live server's latency is watched. */
const batchKeysWatched = 512;
/** Of what was sent when it is stopped, the answers are waited for so long. */
const answersWithinMs = 10_000;
/** Blocks that are read without a pause while nothing has to be waited for. */
const blocksWithoutTurn = 16;
/** A value up to this long is compared by the bytes of its DUMP, too. */
const comparedByBytes = 8 * 1024 * 1024;

export interface RunParts {
  readonly task: PutKeysTask;
  readonly io: PutKeysIO;
  readonly fd: number;
  readonly dumpBytes: number;
  readonly start: WalkStart;
  readonly from: ResumePoint;
  readonly selector: KeySelector;
  /** What was found of the dump where it is said in commands; absent: keys are sliced out. */
  readonly commandFacts?: CommandFacts;
  readonly facts: TargetFacts;
  /** For what is asked beside the keys. */
  readonly redis: Redis;
  readonly names: ConflictNames;
  readonly acknowledged: Acknowledged;
  readonly watch: LiveWatch;
  readonly pipeline: Pipeline;
}

/** One run over the dump from where it begins to its end: reads, sends, counts what comes back. */
export class PutKeysRun {
  readonly #parts: RunParts;
  readonly #memory = new WorkMemory();
  readonly #rate: RateLimit;
  readonly #conflicts: KeyConflicts;
  readonly #payloadVersion: number;
  readonly #queue: Part[] = [];
  readonly #temporary = new TemporaryKeys();
  readonly #together = new TogetherTally();
  #failure: RewindError | undefined;
  #nowMs = 0;
  /** Conflicts that are being looked at. */
  #judging = 0;

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.#rate = new RateLimit(parts.task.limits);
    this.#payloadVersion = payloadVersion(parts.start, parts.facts.rdbVersion);
    const content = new SameContent(parts.redis, parts.fd, parts.start, () => this.#serverTime());
    this.#conflicts = new KeyConflicts(parts.names, content, parts.task.onConflict);
  }

  async toTheEnd(): Promise<PutKeysFigures> {
    const { acknowledged, io, dumpBytes } = this.#parts;
    const telling = setInterval(() => this.#tell(), tellEveryMs);
    try {
      await this.#walk();
      await this.#answered();
      const figures = await acknowledged.end(dumpBytes);
      io.onProgress({ done: dumpBytes, total: dumpBytes, unit: 'bytes', note: keysNote(figures) });
      return figures;
    } catch (error) {
      this.#failure ??= error as RewindError;
      await this.#stop();
      // Perhaps nobody goes on. What cannot be taken away now, the next restore by commands takes.
      await this.#temporary.remove(this.#parts.redis).catch(() => {});
      throw error;
    } finally {
      clearInterval(telling);
    }
  }

  async #walk(): Promise<void> {
    const { fd, start, selector, task, pipeline } = this.#parts;
    const tape = new DumpTape(fd, this.#memory, start.offset);
    const { keysPerSecond = Number.POSITIVE_INFINITY, maxLatencyMs } = task.limits;
    // What is held off can only be held off between two batches.
    const largest = maxLatencyMs === undefined ? slotKeys : batchKeysWatched;
    const batchKeys = Math.round(Math.max(64, Math.min(largest, keysPerSecond / 20)));
    const options: DumpWriterOptions = {
      selector,
      ttl: task.ttl,
      shiftMs: task.shiftMs,
      batchKeys,
      nowMs: () => this.#nowMs,
      functions: task.functions !== 'none',
      onPart: (part) => this.#queue.push(part),
    };
    const { commandFacts, facts, from } = this.#parts;
    const writer: DumpWriter =
      commandFacts === undefined
        ? new SliceWriter(this.#memory, tape, start, {
            ...options,
            payloadVersion: this.#payloadVersion,
            stringsTogether: () => this.#together.worthIt,
          })
        : new CommandWriter(start, { ...options, target: facts, facts: commandFacts, doubtUpTo: from.doubtUpTo });
    const walker = new RdbWalker(writer, start);
    // A compressed value becomes many times its bytes in commands.
    const most = Math.min(commandFacts === undefined ? blockBytes : blockBytes / 4, batchKeys * 16);
    let inARow = 0;
    while (!walker.done) {
      while (this.#memory.freeSlots < slotsForBlock) {
        this.#check();
        await pipeline.changed();
      }
      if (++inARow === blocksWithoutTurn) {
        inARow = 0;
        await turn();
      }
      this.#check();
      const block = tape.next(writer.keepFrom, most);
      if (block.length === 0) break;
      walker.room().set(block);
      this.#nowMs = this.#serverTime();
      walker.advance(block.length);
      writer.forget(walker.offset);
      await this.#sendQueued();
    }
    walker.finish();
    walker.refuseTrailing();
    writer.flush();
    await this.#sendQueued();
  }

  async #sendQueued(): Promise<void> {
    for (const part of this.#queue) this.#parts.acknowledged.begin(part);
    for (const part of this.#queue.splice(0)) await this.#send(part);
  }

  async #send(part: Part): Promise<void> {
    if (part instanceof Batch && part.keys > 0) await this.#sendBatch(part);
    else if (part instanceof CommandPart) await this.#sendCommands(part);
    else if (part instanceof LongValue) await this.#sendLong(part);
    else if (part instanceof Library) await this.#load(part);
    else this.#end(part);
  }

  async #sendBatch(batch: Batch): Promise<void> {
    const { pipeline } = this.#parts;
    const bytes = batch.end - batch.start;
    await this.#mayBeSent(batch.keys, bytes, Math.max(batch.to, batch.reaches));
    await this.#roomUnderWay(bytes);
    const commands = this.#memory.bytes.subarray(batch.start, batch.end);
    if (batch instanceof StringBatch) this.#sendStrings(batch, commands);
    else {
      const numbers = Array.from({ length: batch.keys }, (_, number) => number);
      pipeline.send(batch.db, commands, { left: batch.keys, bytes, ...this.#answersOf(batch, numbers) });
    }
  }

  /** Commands of many keys each: what was not put goes again, key by key, and is judged by those answers. */
  #sendStrings(batch: StringBatch, commands: Uint8Array): void {
    const { pipeline } = this.#parts;
    const notPut: number[] = [];
    pipeline.send(batch.db, commands, {
      left: batch.commands,
      bytes: commands.length,
      reply: (number, _error, put) => {
        // A live key, a user who may not run MSETNX, no memory: each key's own answer says it better.
        if (put !== 1) notPut.push(number);
      },
      end: () => {
        this.#together.add(batch.commands - notPut.length, notPut.length);
        if (notPut.length === 0) {
          this.#batchAnswered(batch);
          return;
        }
        if (this.#failure !== undefined) return;
        const again = batch.oneByOne(this.#memory.bytes, notPut);
        pipeline.send(batch.db, again.bytes, {
          left: again.numbers.length,
          bytes: again.bytes.length,
          ...this.#answersOf(batch, again.numbers),
        });
      },
    });
  }

  /** What the answers to a RESTORE of each of these keys mean. */
  #answersOf(batch: Batch, numbers: readonly number[]): Pick<Sent, 'reply' | 'end'> {
    return {
      reply: (index, error) => {
        if (error?.startsWith('BUSYKEY')) batch.busy.push(numbers[index]!);
        else if (error !== undefined) this.#refused(batch, numbers[index]!, error);
      },
      end: () => this.#batchAnswered(batch),
    };
  }

  async #roomUnderWay(bytes: number): Promise<void> {
    const { pipeline, watch } = this.#parts;
    while (pipeline.bytesUnderWay > 0 && pipeline.bytesUnderWay + bytes > watch.window) {
      this.#check();
      await pipeline.changed();
    }
    this.#check();
  }

  async #sendCommands(part: CommandPart): Promise<void> {
    const { pipeline } = this.#parts;
    await this.#mayBeSent(part.renames.size, part.bytes, Math.max(part.to, part.recordOf.at(-1)! + 1));
    await this.#roomUnderWay(part.bytes);
    const refuse = (number: number, words: string) => {
      part.refused = true;
      this.#refuse(part.renames.get(number)?.key ?? Buffer.alloc(0), part.db, part.recordOf[number]!, words);
    };
    for (const recordAt of part.recordOf) this.#temporary.begin(recordAt, part.db);
    pipeline.send(part.db, Buffer.concat(part.chunks), {
      left: part.recordOf.length,
      bytes: part.bytes,
      reply: (number, error, integer) => {
        const said = part.renames.get(number);
        // Its time has passed since, or that of all its fields: there is nothing to rename.
        const vanished = said !== undefined && error !== undefined && /no such key/.test(error);
        if (vanished) part.vanished++;
        else if (error !== undefined) refuse(number, error);
        if (said === undefined || (error !== undefined && !vanished)) return;
        if (integer === 0) part.busy.push(said);
        else this.#temporary.end(said.recordAt);
      },
      end: () => {
        if (!part.refused) void this.#commandsAnswered(part);
      },
    });
    part.chunks.length = 0;
  }

  async #commandsAnswered(part: CommandPart): Promise<void> {
    const { pipeline, names, from } = this.#parts;
    const { busy, db, tally } = part;
    part.namesAt = names.length;
    tally.restored += part.renames.size - part.vanished - busy.length;
    tally.expired += part.vanished;
    if (busy.length === 0) {
      this.#end(part);
      return;
    }
    this.#judging++;
    try {
      const conflicts = busy.map(
        ({ key, recordAt, expireAtMs }): Conflict => ({
          db,
          key,
          recordAt,
          expireAtMs,
          doubtful: recordAt < from.doubtUpTo,
        }),
      );
      const toReplace = new Set(await this.#conflicts.judge(conflicts, tally));
      if (this.#failure !== undefined) return;
      const commands = busy.map(({ key, temporary }, i) =>
        toReplace.has(i) ? command('RENAME', temporary, key) : command('UNLINK', temporary),
      );
      const bytes = Buffer.concat(commands);
      pipeline.send(db, bytes, {
        left: commands.length,
        bytes: bytes.length,
        reply: (number, error) => {
          if (error === undefined) return;
          part.refused = true;
          this.#refuse(busy[number]!.key, db, busy[number]!.recordAt, error);
        },
        end: () => {
          if (part.refused) return;
          for (const { recordAt } of busy) this.#temporary.end(recordAt);
          tally.replaced += toReplace.size;
          this.#end(part);
        },
      });
    } catch (error) {
      this.#fail(error as RewindError);
    } finally {
      this.#judging--;
      pipeline.nudge();
    }
  }

  /** Waits as long as limits ask for, and until what is sent was announced. */
  async #mayBeSent(keys: number, bytes: number, upTo: number): Promise<void> {
    const { watch, io, acknowledged } = this.#parts;
    await this.#rate.before(keys, bytes, io.signal);
    await watch.room(bytes, () => this.#answered());
    while (watch.pauseMs > 0) {
      this.#check();
      await sleep(watch.pauseMs, undefined, { signal: io.signal }).catch(() => {});
    }
    this.#check();
    await acknowledged.upTo(upTo);
    this.#check();
  }

  #refused(batch: Batch, number: number, words: string): void {
    batch.refused = true;
    this.#refuse(batch.key(this.#memory.bytes, number), batch.db, batch.slot.recordAt[number]!, words);
  }

  #refuse(key: Buffer, db: number, offset: number, words: string): void {
    const name = key.toString('latin1');
    const said = name.length > 0 && words.includes(name) ? words.replaceAll(name, '…') : words;
    this.#fail(refusal(addressOf(this.#parts.task.target), said, { offset, db }));
  }

  #fail(error: RewindError): void {
    this.#failure ??= error;
    this.#parts.pipeline.nudge();
  }

  #batchAnswered(batch: Batch): void {
    const { slot, busy } = batch;
    // Not counted: whoever goes on looks at it again.
    if (batch.refused) return;
    batch.namesAt = this.#parts.names.length;
    batch.tally.restored += batch.keys - busy.length;
    if (busy.length === 0) {
      this.#end(batch);
      return;
    }
    const { doubtUpTo } = this.#parts.from;
    if (slot.recordAt[busy[0]!]! >= doubtUpTo) this.#replace(batch, this.#conflicts.judgeNow(batch, this.#memory));
    else void this.#judge(batch);
  }

  async #judge(batch: Batch): Promise<void> {
    const { slot, busy } = batch;
    const { bytes } = this.#memory;
    this.#judging++;
    try {
      const conflicts = busy.map((number): Conflict => {
        return {
          db: batch.db,
          key: batch.key(bytes, number),
          recordAt: slot.recordAt[number]!,
          expireAtMs: slot.expireAtMs[number]!,
          body: batch.body(bytes, number),
          doubtful: slot.recordAt[number]! < this.#parts.from.doubtUpTo,
        };
      });
      const toReplace = await this.#conflicts.judge(conflicts, batch.tally);
      this.#replace(
        batch,
        toReplace.map((i) => busy[i]!),
      );
    } catch (error) {
      this.#fail(error as RewindError);
    } finally {
      this.#judging--;
      this.#parts.pipeline.nudge();
    }
  }

  #replace(batch: Batch, numbers: readonly number[]): void {
    if (numbers.length === 0) {
      this.#end(batch);
      return;
    }
    if (this.#failure !== undefined) return;
    const commands = batch.replacing(this.#memory.bytes, numbers);
    this.#parts.pipeline.send(batch.db, commands, {
      left: numbers.length,
      bytes: commands.length,
      reply: (number, error) => {
        if (error !== undefined) this.#refused(batch, numbers[number]!, error);
      },
      end: () => {
        if (batch.refused) return;
        batch.tally.replaced += numbers.length;
        this.#end(batch);
      },
    });
  }

  #end(part: Part): void {
    part.done = true;
    if (part instanceof Batch) this.#memory.give(part.slot);
    this.#parts.acknowledged.settle();
  }

  async #sendLong(part: LongValue): Promise<void> {
    const { pipeline, names, from, fd, facts, watch, io } = this.#parts;
    await this.#answered();
    part.namesAt = names.length;
    const put = (replace: boolean) =>
      sendLongValue(part, replace, pipeline, this.#memory, {
        fd,
        payloadVersion: this.#payloadVersion,
        longestArgument: facts.longestArgument,
        beforePiece: async (bytes) => {
          await this.#rate.before(0, bytes, io.signal);
          this.#check();
        },
      });
    await watch.room(bodyBytes(part), () => this.#answered());
    await this.#mayBeSent(1, 0, part.to);
    let there = (await this.#ask(part.db, command('EXISTS', part.key))) === 1;
    if (!there) {
      const error = await put(false);
      if (error === undefined) part.tally.restored++;
      else if (error.startsWith('BUSYKEY')) there = true;
      else this.#refuse(part.key, part.db, part.record.start, error);
    }
    this.#check();
    if (there) {
      const body = bodyBytes(part) <= comparedByBytes ? readBody(fd, part) : undefined;
      const { start, expireAtMs } = part.record;
      const conflict = {
        db: part.db,
        key: part.key,
        recordAt: start,
        expireAtMs,
        body,
        doubtful: start < from.doubtUpTo,
      };
      const toReplace = await this.#conflicts.judge([conflict], part.tally);
      if (toReplace.length > 0) {
        const error = await put(true);
        if (error !== undefined) this.#refuse(part.key, part.db, start, error);
        this.#check();
        part.tally.replaced++;
      }
    }
    this.#end(part);
  }

  async #ask(db: number, bytes: Buffer): Promise<number | undefined> {
    const { pipeline, task } = this.#parts;
    const answer = Promise.withResolvers<number | undefined>();
    let said: number | undefined;
    let done = false;
    pipeline.send(db, bytes, {
      left: 1,
      bytes: 0,
      reply: (_number, error, integer) => {
        said = integer;
        if (error !== undefined) this.#fail(refusal(addressOf(task.target), error));
      },
      end: () => {
        done = true;
        answer.resolve(said);
      },
    });
    while (!done) {
      this.#check();
      await pipeline.changed();
    }
    this.#check();
    return answer.promise;
  }

  async #load(part: Library): Promise<void> {
    const { task, redis, names, facts, acknowledged, start } = this.#parts;
    const mode = task.functions;
    if (mode === 'none' || !facts.hasFunctions) {
      part.tally.functionLibrariesPassedOver++;
    } else {
      await acknowledged.upTo(start.offset + 1);
      const loaded = await loadLibrary(redis, part.code, mode, names);
      if (loaded) part.tally.functionLibraries++;
      else part.tally.functionLibrariesPassedOver++;
    }
    this.#end(part);
  }

  /** Waits until everything that was sent is answered and judged. */
  async #answered(): Promise<void> {
    const { pipeline } = this.#parts;
    while (!pipeline.idle || this.#judging > 0) {
      this.#check();
      await pipeline.changed();
    }
    this.#check();
  }

  #check(): void {
    if (this.#failure === undefined && this.#parts.io.signal.aborted) {
      this.#failure = new RewindError('RESTORE_KEYS_CANCELLED', 'putting keys was cancelled');
    }
    const failure = this.#failure ?? this.#parts.pipeline.failure;
    if (failure !== undefined) throw failure;
  }

  /** Takes in the answers that still come, so that as little as possible is in doubt, and says where it stands. */
  async #stop(): Promise<void> {
    const { pipeline, acknowledged } = this.#parts;
    const until = performance.now() + answersWithinMs;
    while ((!pipeline.idle || this.#judging > 0) && pipeline.failure === undefined && performance.now() < until) {
      await sleep(5);
    }
    await acknowledged.tellLast().catch(() => {});
  }

  #tell(): void {
    const { acknowledged, io, dumpBytes, pipeline } = this.#parts;
    const { offset, figures } = acknowledged.cursor;
    io.onProgress({ done: offset, total: dumpBytes, unit: 'bytes', note: keysNote(figures) });
    acknowledged.tell().catch((error) => this.#fail(error));
    // Whoever waits looks whether it was cancelled.
    pipeline.nudge();
  }

  /** Unix ms by the live server's clock. */
  #serverTime(): number {
    return Date.now() + this.#parts.facts.clockAheadMs;
  }
}

function keysNote(figures: PutKeysFigures): string {
  const { restored, kept, replaced, expired } = figures;
  return `${restored + replaced} keys put, ${kept} kept, ${expired} expired`;
}
