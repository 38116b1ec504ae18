import { once } from 'node:events';
import { connect } from 'node:net';
import { Random } from './random.ts';

/** Unix ms in 2100: a data set of any age keeps its keys. */
const farExpiry = 4_102_444_800_000;
/** Where the streams' ids and the pending entries' times begin. */
const streamEpoch = 1_700_000_000_000;
const sendBytes = 256 * 1024;

export interface DatasetOptions {
  readonly keys: number;
  /** Default 1. The same seed and number of keys give the same commands. */
  readonly seed?: number;
  readonly password?: string;
}

type Argument = string | number | Buffer;

const words = 'order invoice customer session queue worker payment shipment refund basket email amount currency'.split(
  ' ',
);

/**
 * The commands that make a mixed data set: every type in every encoding that a server chooses by itself, texts that
 * compress and bytes that do not, integers, expiries, stream groups with pending entries; about 195 bytes of dump a key.
 */
export function* datasetCommands({ keys, seed = 1 }: DatasetOptions): Generator<Argument[]> {
  const random = new Random(seed);
  for (let i = 0; i < keys; i++) {
    const share = random.below(100);
    if (share < 48) yield* stringKey(random, i);
    else if (share < 68) yield* hashKey(random, i);
    else if (share < 78) yield* listKey(random, i);
    else if (share < 88) yield* setKey(random, i);
    else if (share < 97) yield* zsetKey(random, i);
    else yield* streamKey(random, i);
  }
}

/** Sends the data set to a server on loopback and returns when the server has taken in all of it. */
export async function fillServer(port: number, options: DatasetOptions): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1' });
  await once(socket, 'connect');
  const answers = new Answers();
  socket.on('data', (bytes) => answers.take(bytes));
  const closed = once(socket, 'close');
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  const send = async (args: Argument[]) => {
    const command = encode(args);
    pending.push(command);
    pendingBytes += command.length;
    if (pendingBytes < sendBytes) return;
    const free = socket.write(Buffer.concat(pending));
    pending = [];
    pendingBytes = 0;
    if (!free) await Promise.race([once(socket, 'drain'), closed]);
    answers.refuseError();
  };
  if (options.password !== undefined) await send(['AUTH', options.password]);
  for (const args of datasetCommands(options)) await send(args);
  await send(['QUIT']);
  socket.write(Buffer.concat(pending));
  await closed;
  answers.refuseError();
}

/** Watches the answers for an error; what else they say is passed over. */
class Answers {
  #error: string | undefined;
  #atLineStart = true;

  take(bytes: Buffer): void {
    const at = this.#atLineStart && bytes[0] === 0x2d ? 0 : bytes.indexOf('\n-');
    if (at >= 0) this.#error ??= bytes.toString('latin1', at, at + 200).trim();
    this.#atLineStart = bytes.at(-1) === 0x0a;
  }

  refuseError(): void {
    if (this.#error !== undefined) throw new Error(`the server refused the data set: ${this.#error}`);
  }
}

function encode(args: Argument[]): Buffer {
  const parts: (string | Buffer)[] = [`*${args.length}\r\n`];
  let bytes = parts[0]!.length;
  for (const arg of args) {
    const body = typeof arg === 'number' ? String(arg) : arg;
    const head = `$${body.length}\r\n`;
    parts.push(head, body, '\r\n');
    bytes += head.length + body.length + 2;
  }
  const buffer = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (const part of parts) {
    if (typeof part === 'string') at += buffer.write(part, at, 'latin1');
    else at += part.copy(buffer, at);
  }
  return buffer;
}

function* stringKey(random: Random, i: number): Generator<Argument[]> {
  const key = `str:${i}`;
  const kind = random.below(10);
  let value: Argument;
  if (kind < 2) value = random.chance(0.2) ? random.bits() * random.bits() : random.below(100_000);
  else if (kind < 6) value = sentence(random, random.between(4, 40));
  else if (kind < 9) value = random.bytes(random.between(8, 160));
  else value = random.bytes(random.between(200, 1400));
  if (random.chance(0.3)) yield ['SET', key, value, 'PXAT', expiry(random)];
  else yield ['SET', key, value];
}

function* hashKey(random: Random, i: number): Generator<Argument[]> {
  const fields = random.chance(0.004) ? random.between(200, 900) : random.between(2, 12);
  const args: Argument[] = ['HSET', `hash:${i}`];
  for (let f = 0; f < fields; f++) {
    args.push(`${random.pick(words)}${f}`);
    args.push(random.chance(0.4) ? random.below(1_000_000) : sentence(random, random.between(1, 4)));
  }
  yield args;
  if (random.chance(0.1)) yield ['PEXPIREAT', `hash:${i}`, expiry(random)];
}

function* listKey(random: Random, i: number): Generator<Argument[]> {
  const elements = random.chance(0.004) ? random.between(500, 3000) : random.between(1, 20);
  const args: Argument[] = ['RPUSH', `list:${i}`];
  for (let e = 0; e < elements; e++) {
    args.push(random.chance(0.3) ? random.below(100_000) - 50_000 : sentence(random, random.between(1, 5)));
  }
  yield args;
}

function* setKey(random: Random, i: number): Generator<Argument[]> {
  const kind = random.below(3);
  const large = random.chance(0.004);
  const members = large ? random.between(600, 2000) : random.between(1, 30);
  const args: Argument[] = ['SADD', `set:${i}`];
  for (let m = 0; m < members; m++) {
    if (kind === 0) args.push(random.below(2 ** random.between(8, 48)));
    else if (kind === 1) args.push(`${random.pick(words)}:${random.below(1_000_000)}`);
    else args.push(random.bytes(random.between(4, 24)));
  }
  yield args;
}

function* zsetKey(random: Random, i: number): Generator<Argument[]> {
  const members = random.chance(0.004) ? random.between(200, 1500) : random.between(1, 20);
  const args: Argument[] = ['ZADD', `zset:${i}`];
  for (let m = 0; m < members; m++) {
    args.push(random.chance(0.5) ? random.below(100_000) : (random.bits() - 0x8000_0000) / 1021);
    args.push(`${random.pick(words)}:${m}:${random.below(10_000)}`);
  }
  yield args;
}

function* streamKey(random: Random, i: number): Generator<Argument[]> {
  const key = `stream:${i}`;
  const entries = random.between(1, 12);
  const ids: string[] = [];
  let ms = streamEpoch + random.below(1_000_000);
  for (let e = 0; e < entries; e++) {
    ms += random.below(3);
    const id = `${ms}-${e + 1}`;
    ids.push(id);
    const fields: Argument[] = ['event', random.pick(words), 'amount', random.below(10_000)];
    if (random.chance(0.2)) fields.push(`extra${random.below(9)}`, sentence(random, 3));
    yield ['XADD', key, id, ...fields];
  }
  if (entries > 3 && random.chance(0.2)) yield ['XDEL', key, ids[1]!];
  if (!random.chance(0.3)) return;
  yield ['XGROUP', 'CREATE', key, 'workers', '0'];
  yield ['XGROUP', 'SETID', key, 'workers', ids.at(-1)!];
  for (const id of ids.slice(2, 5)) {
    const consumer = `consumer-${random.below(3)}`;
    yield [
      'XCLAIM',
      key,
      'workers',
      consumer,
      0,
      id,
      'TIME',
      streamEpoch + random.below(1_000_000),
      'RETRYCOUNT',
      random.between(1, 5),
      'FORCE',
      'JUSTID',
    ];
  }
}

function sentence(random: Random, length: number): string {
  let text = random.pick(words);
  for (let i = 1; i < length; i++) text += ` ${random.pick(words)}`;
  return text;
}

function expiry(random: Random): number {
  return farExpiry + random.below(1_000_000_000);
}
