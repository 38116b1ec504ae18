import { RewindError } from '../../errors/rewind-error.ts';
import { readAt } from './dump-tape.ts';
import type { LongValue } from './part.ts';
import { command, type Pipeline } from './pipeline.ts';
import { footerBytes, writeOptions, writeTtl } from './slice-writer.ts';
import { type Slot, slotBytes, type WorkMemory } from './work-memory.ts';

/** Of a payload that is sent piece by piece. */
export interface LongValueOptions {
  readonly fd: number;
  readonly payloadVersion: number;
  /** Bytes of one argument that the live server takes at most. */
  readonly longestArgument: number;
  /** Call before each piece: waits as long as limits ask for, throws when it is to stop. */
  readonly beforePiece: (bytes: number) => Promise<void>;
}

/** Bytes of the payload without its footer. */
export function bodyBytes({ record }: LongValue): number {
  const meta = record.metaAt >= 0 ? record.typeAt - record.metaAt : 0;
  return meta + 1 + record.end - record.valueStart;
}

/** The payload without its footer, for one that is short enough to be held. */
export function readBody(fd: number, part: LongValue): Buffer {
  const { metaAt, typeAt, typeCode, valueStart, end } = part.record;
  const body = Buffer.alloc(bodyBytes(part));
  const meta = metaAt >= 0 ? readAt(fd, body, 0, typeAt - metaAt, metaAt) : 0;
  body[meta] = typeCode;
  readAt(fd, body, meta + 1, end - valueStart, valueStart);
  return body;
}

/**
 * Sends the RESTORE of one long value: its pieces are read from the dump again and summed on their way, through two slots
 * of the memory.
 *
 * @returns the server's error, undefined when it took the key
 * @throws RESTORE_VALUE_TOO_LONG before anything is sent
 */
export async function sendLongValue(
  part: LongValue,
  replace: boolean,
  pipeline: Pipeline,
  memory: WorkMemory,
  options: LongValueOptions,
): Promise<string | undefined> {
  const { metaAt, typeAt, typeCode, valueStart, end, expireAtMs, idleSeconds, frequency, start } = part.record;
  const body = bodyBytes(part);
  if (Math.max(body + footerBytes, part.key.length) > options.longestArgument) {
    const message = `the value at byte ${start} of the dump has ${body} bytes, more than the ${options.longestArgument} of the live server's proto-max-bulk-len`;
    throw new RewindError('RESTORE_VALUE_TOO_LONG', message, {
      details: { offset: start, bytes: body, longestArgument: options.longestArgument },
    });
  }
  const hint = idleSeconds >= 0 || frequency >= 0;
  const args = 4 + (expireAtMs === -1 ? 0 : 1) + (hint ? 2 : 0) + (replace ? 1 : 0);
  const framing = Buffer.alloc(256);
  const slots = [memory.take()!, memory.take()!];
  let answer: { error: string | undefined } | undefined;
  try {
    pipeline.select(part.db);
    pipeline.expect({
      left: 1,
      bytes: body,
      reply: (_number, error) => {
        answer = { error };
      },
      end: () => {
        answer ??= { error: undefined };
      },
    });
    const words = command('RESTORE', part.key).subarray(4);
    const ttl = framing.subarray(2, writeTtl(framing, 0, expireAtMs));
    pipeline.write(Buffer.concat([Buffer.from(`*${args}\r\n`), words, ttl, Buffer.from(`$${body + footerBytes}\r\n`)]));
    const sum = new SummedPieces(pipeline, memory, slots as [Slot, Slot], options);
    if (metaAt >= 0) await sum.fromFile(metaAt, typeAt);
    await sum.bytes([typeCode]);
    await sum.fromFile(valueStart, end);
    await sum.bytes([options.payloadVersion & 0xff, options.payloadVersion >> 8]);
    const tail = Buffer.alloc(256);
    tail.writeBigInt64LE(sum.crc, 0);
    tail.write('\r\n', 8);
    const used = writeOptions(tail, footerBytes, expireAtMs, { idleSeconds, frequency });
    await pipeline.written(Buffer.concat([tail.subarray(0, used), Buffer.from(replace ? '$7\r\nREPLACE\r\n' : '')]));
    while (answer === undefined && pipeline.failure === undefined) await pipeline.changed();
  } finally {
    for (const slot of slots) memory.give(slot!);
  }
  if (answer === undefined) throw pipeline.failure!;
  return answer.error;
}

/** Writes pieces one after the other and sums them. */
class SummedPieces {
  crc = 0n;
  readonly #pipeline: Pipeline;
  readonly #memory: WorkMemory;
  readonly #slots: readonly [Slot, Slot];
  readonly #options: LongValueOptions;
  /** The piece before, which may still be on its way out of its slot. */
  #before: Promise<void> = Promise.resolve();
  #turn = 0;

  constructor(pipeline: Pipeline, memory: WorkMemory, slots: readonly [Slot, Slot], options: LongValueOptions) {
    this.#pipeline = pipeline;
    this.#memory = memory;
    this.#slots = slots;
    this.#options = options;
  }

  async bytes(few: readonly number[]): Promise<void> {
    await this.#piece((bytes, at) => {
      bytes.set(few, at);
      return few.length;
    });
  }

  async fromFile(from: number, to: number): Promise<void> {
    for (let offset = from; offset < to; ) {
      const wanted = Math.min(slotBytes, to - offset);
      await this.#options.beforePiece(wanted);
      await this.#piece((bytes, at) => readAt(this.#options.fd, bytes, at, wanted, offset));
      offset += wanted;
    }
  }

  async #piece(fill: (bytes: Uint8Array, at: number) => number): Promise<void> {
    const { bytes, crc } = this.#memory;
    const { at } = this.#slots[this.#turn]!;
    this.#turn = 1 - this.#turn;
    const length = fill(bytes, at);
    this.crc = crc(this.crc, at, at + length);
    await this.#before;
    const written = this.#pipeline.written(bytes.subarray(at, at + length));
    // Its failure is told to whoever waits for it next.
    written.catch(() => {});
    this.#before = written;
  }
}
