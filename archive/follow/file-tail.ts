import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { AofCommand } from '../../aof/command.ts';
import { AofScanner } from '../../aof/scanner.ts';
import { RewindError } from '../../errors/rewind-error.ts';

/** Where a file can be cut. */
export interface Boundary {
  readonly offset: number;
  /** Database that is selected there. */
  readonly db: number;
  /** Offset of the MULTI that is open there; only of a transaction longer than `transactionBytes`. */
  readonly transactionAt?: number;
  /** Commands since the tail was opened. */
  readonly commands: number;
}

export interface TailVisitor {
  command?(command: AofCommand): void;
  timestamp?(seconds: number, offset: number): void;
}

/** Reads the end of a file that grows, whole commands only, in fixed memory. */
export class FileTail {
  readonly #handle: FileHandle;
  readonly #scanner: AofScanner;
  readonly #transactionBytes: number;
  #lastEnd: number;
  #lastDb: number;
  #commands = 0;
  #transactionAt = -1;

  constructor(
    handle: FileHandle,
    from: { offset: number; db: number },
    options: { transactionBytes: number; visitor?: TailVisitor },
  ) {
    this.#handle = handle;
    this.#transactionBytes = options.transactionBytes;
    this.#lastEnd = from.offset;
    this.#lastDb = from.db;
    const { visitor } = options;
    this.#scanner = new AofScanner(
      {
        command: (command) => {
          this.#commands++;
          this.#lastEnd = command.end;
          this.#transactionAt = command.is('exec') ? -1 : command.transactionAt;
          this.#lastDb = command.is('select') ? Number(command.copyArgument(1)) : command.db;
          visitor?.command?.(command);
        },
        timestamp: (seconds, offset) => visitor?.timestamp?.(seconds, offset),
      },
      from,
    );
  }

  /** How far the file was read. */
  get readTo(): number {
    return this.#scanner.pushed;
  }

  /** The last place at or before `readTo` where it can be cut. */
  boundary(): Boundary {
    const { validUpTo, db, commands } = this.#scanner.progress;
    if (this.#lastEnd - validUpTo <= this.#transactionBytes) return { offset: validUpTo, db, commands };
    return {
      offset: this.#lastEnd,
      db: this.#lastDb,
      commands: this.#commands,
      ...(this.#transactionAt < 0 ? {} : { transactionAt: this.#transactionAt }),
    };
  }

  /** Reads one block, not beyond `limit`. @returns false where nothing is there @throws AOF_CORRUPT, AOF_READ_FAILED */
  async readOn(limit: number): Promise<boolean> {
    const wanted = limit - this.readTo;
    if (wanted <= 0) return false;
    const room = this.#scanner.room();
    const { bytesRead } = await this.#handle
      .read(room, 0, Math.min(room.length, wanted), this.readTo)
      .catch((cause: Error) => {
        throw new RewindError('AOF_READ_FAILED', `the append-only file cannot be read: ${cause.message}`, { cause });
      });
    if (bytesRead === 0) return false;
    this.#scanner.advance(bytesRead);
    return true;
  }
}

const sliceBytes = 1024 * 1024;

/** The bytes [from, to) in slices, each valid only until the next one is asked for. Ends early where the file does. */
export async function* slicesOf(handle: FileHandle, from: number, to: number): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafe(Math.min(sliceBytes, Math.max(1, to - from)));
  for (let at = from; at < to; ) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, to - at), at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** SHA-256 of [from, to); undefined where the file ends before `to`. */
export async function digestOfBytes(handle: FileHandle, from: number, to: number): Promise<string | undefined> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const slice of slicesOf(handle, from, to)) {
    hash.update(slice);
    bytes += slice.length;
  }
  return bytes === to - from ? hash.digest('hex') : undefined;
}
