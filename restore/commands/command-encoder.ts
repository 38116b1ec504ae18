import { RewindError } from '../../errors/rewind-error.ts';
import type { RdbEntry } from '../../rdb/entry.ts';
import { type DecodedType, isDecoded } from '../../rdb/types.ts';
import type { ConsumerInfo, GroupInfo, StreamId, StreamInfo, ValueSink } from '../../rdb/value-sink.ts';
import type { CommandFacts } from './command-facts.ts';
import { type CommandFeatures, type CommandTarget, featuresOf } from './command-target.ts';
import { type Emit, StreamCommands } from './stream-commands.ts';

/** One command carries at most so many elements, and ends with the one that brings it over so many bytes. */
const mostElements = 512;
const mostBytes = 1024 * 1024;

const verbs = { string: 'SET', list: 'RPUSH', set: 'SADD', zset: 'ZADD', hash: 'HSET', stream: 'XADD' } as const;

export interface EncoderOptions {
  /** From `surveyForCommands`: without it pending entries that are no longer in their stream are not put back. */
  readonly facts?: Pick<CommandFacts, 'deletedPending'>;
  /** What becomes of the expiry of a hash's field (Unix ms): another time, or -1 for none. Default: it stays. */
  readonly fieldExpiry?: (atMs: number) => number;
}

/**
 * Says a decoded value in the write commands of an older server, or of the other fork: what RESTORE would refuse there.
 * The key must not exist (commands add to what is there), and it is half there until `end`: where somebody looks on,
 * write under another name and RENAMENX it. Every command is at most 512 elements or little over 1 MiB, unless one
 * element is longer than that; its parts are the caller's to keep.
 *
 * What it cannot say, `cannotSay` says before anything is touched.
 *
 * @example
 * const encoder = new CommandEncoder({ name: 'redis', version: '6.2.14' }, { facts });
 * await walkRdb({ path }, {
 *   key: (entry) => {
 *     if (!isDecoded(entry.type)) return null;
 *     encoder.begin(entry, entry.expireAtMs, (args) => connection.send(args));
 *     return encoder;
 *   },
 *   keyEnd: (entry) => { if (isDecoded(entry.type)) encoder.end(); },
 * });
 */
export class CommandEncoder implements ValueSink {
  readonly #features: CommandFeatures;
  readonly #stream: StreamCommands;
  readonly #options: EncoderOptions;
  #emit!: Emit;
  #type: DecodedType = 'string';
  #key!: Buffer;
  #expireAtMs = -1;
  /** Pieces of the string at hand. */
  #pieces: Buffer[] = [];
  #piecesBytes = 0;
  /** Of a string that comes in more than one command. */
  #begun = false;
  /** The command at hand: its elements without verb and key. */
  #args: (Buffer | string)[] = [];
  #elements = 0;
  #bytes = 0;
  #member: Buffer | undefined;
  #fieldExpiry = -1;
  /** The fields of the command at hand that expire, by when. */
  #expiring = new Map<number, Buffer[]>();

  constructor(target: CommandTarget, options: EncoderOptions = {}) {
    this.#features = featuresOf(target);
    this.#options = options;
    this.#stream = new StreamCommands(this.#features);
  }

  /**
   * @param expireAtMs Unix ms, as it is to be; -1: never. A time that has passed deletes the key: leave such keys out.
   * @param emit is given each command in order, while the value is read and in `end`
   * @param key another name than the entry's
   * @throws COMMANDS_CANNOT_SAY for a module's value or an array
   */
  begin(entry: RdbEntry, expireAtMs: number, emit: Emit, key: Buffer = entry.copyKey()): void {
    if (!isDecoded(entry.type)) {
      throw new RewindError('COMMANDS_CANNOT_SAY', `a value of type ${entry.type} cannot be said in commands`);
    }
    this.#type = entry.type;
    this.#key = key;
    this.#expireAtMs = expireAtMs;
    this.#emit = emit;
    this.#begun = false;
    this.#pieces = [];
    this.#piecesBytes = 0;
    this.#member = undefined;
    this.#startCommand();
    if (entry.type === 'stream') {
      this.#stream.begin(key, emit, this.#options.facts?.deletedPending.get(entry.start));
    }
  }

  piece(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    // It is kept until its command is full: what is handed over is valid only now.
    this.#pieces.push(Buffer.from(bytes.subarray(start, end)));
    this.#piecesBytes += end - start;
    if (this.#type === 'string') {
      if (last || this.#piecesBytes >= mostBytes) this.#writeString(last);
    } else if (last) {
      this.#take(this.#wholeString());
    }
  }

  score(score: number): void {
    // The shortest text that reads back as the same double.
    const text =
      score === Number.POSITIVE_INFINITY ? '+inf' : score === Number.NEGATIVE_INFINITY ? '-inf' : plain(score);
    this.#addElement(text, this.#member!);
  }

  fieldExpiry(atMs: number): void {
    this.#fieldExpiry = this.#options.fieldExpiry?.(atMs) ?? atMs;
  }

  pairEnd(): void {
    const [field, value] = this.#args.splice(-2) as [Buffer, Buffer];
    if (this.#fieldExpiry >= 0 && this.#features.fieldExpiries) {
      const together = this.#expiring.get(this.#fieldExpiry);
      if (together) together.push(field);
      else this.#expiring.set(this.#fieldExpiry, [field]);
    }
    this.#fieldExpiry = -1;
    this.#addElement(field, value);
  }

  streamEntry(id: StreamId, fields: number): void {
    this.#stream.entry(id, fields);
  }

  streamInfo(info: StreamInfo): void {
    this.#stream.info(info);
  }

  group(): void {
    this.#stream.group();
  }

  groupInfo(info: GroupInfo): void {
    this.#stream.groupInfo(info);
  }

  pending(id: StreamId, deliveredAtMs: number, deliveries: number): void {
    this.#stream.pending(id, deliveredAtMs, deliveries);
  }

  consumer(): void {
    this.#stream.consumer();
  }

  consumerInfo(info: ConsumerInfo): void {
    this.#stream.consumerInfo(info);
  }

  owned(id: StreamId): void {
    this.#stream.owned(id);
  }

  /** The value is read: sends what is left of it, and its expiry. */
  end(): void {
    if (this.#type === 'stream') this.#stream.end();
    else this.#flush();
    const said = this.#type === 'string' && !this.#begun;
    if (this.#expireAtMs >= 0 && !said) this.#emit(['PEXPIREAT', this.#key, String(this.#expireAtMs)]);
  }

  #writeString(last: boolean): void {
    const value = this.#wholeString();
    if (this.#begun) {
      this.#emit(['APPEND', this.#key, value]);
    } else {
      // The usual string: one command with its expiry in it.
      const expiry = last && this.#expireAtMs >= 0 ? ['PXAT', String(this.#expireAtMs)] : [];
      this.#emit(['SET', this.#key, value, ...expiry]);
    }
    if (!last) this.#begun = true;
  }

  #wholeString(): Buffer {
    const whole = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces, this.#piecesBytes);
    this.#pieces = [];
    this.#piecesBytes = 0;
    return whole;
  }

  #take(text: Buffer): void {
    if (this.#type === 'stream') this.#stream.text(text);
    else if (this.#type === 'zset') this.#member = text;
    else if (this.#type === 'hash') this.#args.push(text);
    else this.#addElement(text);
  }

  #addElement(...parts: (Buffer | string)[]): void {
    this.#args.push(...parts);
    for (const part of parts) this.#bytes += part.length;
    if (++this.#elements === mostElements || this.#bytes >= mostBytes) this.#flush();
  }

  #flush(): void {
    if (this.#elements === 0) return;
    this.#emit([verbs[this.#type], this.#key, ...this.#args]);
    for (const [atMs, fields] of this.#expiring) {
      this.#emit(['HPEXPIREAT', this.#key, String(atMs), 'FIELDS', String(fields.length), ...fields]);
    }
    this.#startCommand();
  }

  #startCommand(): void {
    this.#args = [];
    this.#elements = 0;
    this.#bytes = 0;
    this.#fieldExpiry = -1;
    if (this.#expiring.size > 0) this.#expiring = new Map();
  }
}

/** -0 keeps its sign, which String drops. */
function plain(score: number): string {
  return Object.is(score, -0) ? '-0' : String(score);
}
