import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** So many files a side: of 2 million keys each holds some eight thousand, of a billion still few enough to be held. */
export const partitionCount = 256;
const bufferBytes = 16 * 1024;
/** Database (4), key's length (4), expiry in Unix ms or -1 (8), 1 where there is a digest (1), the digest (16). */
const headBytes = 33;

/** One key of a side. */
export interface SideKey {
  readonly db: number;
  readonly key: Buffer;
  /** Unix ms; -1: never. */
  readonly expireAtMs: number;
  /** 32 hex digits; undefined where the content cannot be read. */
  readonly digest: string | undefined;
}

/**
 * The keys of one side of a diff, on disk, spread over files by a hash of their name: the same key of the other side is
 * in the file of the same number. Memory does not grow with the number of keys; a file is read whole.
 */
export class Partitions {
  readonly #paths: string[];
  readonly #fds: number[];
  readonly #buffers = Array.from({ length: partitionCount }, () => Buffer.allocUnsafeSlow(bufferBytes));
  readonly #used = new Int32Array(partitionCount);

  constructor(folder: string, side: string) {
    this.#paths = Array.from({ length: partitionCount }, (_, i) => join(folder, `${side}-${i}`));
    this.#fds = this.#paths.map((path) => openSync(path, 'wx', 0o600));
  }

  add({ db, key, expireAtMs, digest }: SideKey): void {
    const partition = hash(db, key) % partitionCount;
    const bytes = headBytes + key.length;
    if (this.#used[partition]! + bytes > bufferBytes) this.#flush(partition);
    const large = bytes > bufferBytes;
    const buffer = large ? Buffer.allocUnsafe(bytes) : this.#buffers[partition]!;
    const at = large ? 0 : this.#used[partition]!;
    buffer.writeUInt32LE(db, at);
    buffer.writeUInt32LE(key.length, at + 4);
    buffer.writeDoubleLE(expireAtMs, at + 8);
    buffer[at + 16] = digest === undefined ? 0 : 1;
    buffer.fill(0, at + 17, at + headBytes);
    if (digest !== undefined) buffer.write(digest, at + 17, 'hex');
    buffer.set(key, at + headBytes);
    if (large) writeAll(this.#fds[partition]!, buffer);
    else this.#used[partition]! += bytes;
  }

  /** No key comes any more. */
  end(): void {
    for (let i = 0; i < partitionCount; i++) this.#flush(i);
    for (const fd of this.#fds.splice(0)) closeSync(fd);
  }

  /** The keys of one file, by database and name; a key that was added twice stands once, as it was added last. */
  read(partition: number): Map<string, SideKey> {
    const keys = new Map<string, SideKey>();
    const bytes = readFileSync(this.#paths[partition]!);
    for (let at = 0; at < bytes.length; ) {
      const db = bytes.readUInt32LE(at);
      const length = bytes.readUInt32LE(at + 4);
      const key = bytes.subarray(at + headBytes, at + headBytes + length);
      keys.set(`${db}:${key.toString('latin1')}`, {
        db,
        key,
        expireAtMs: bytes.readDoubleLE(at + 8),
        digest: bytes[at + 16] === 1 ? bytes.toString('hex', at + 17, at + headBytes) : undefined,
      });
      at += headBytes + length;
    }
    return keys;
  }

  remove(partition: number): void {
    rmSync(this.#paths[partition]!, { force: true });
  }

  /** Lets go of the files, which stay. */
  close(): void {
    for (const fd of this.#fds.splice(0)) closeSync(fd);
  }

  #flush(partition: number): void {
    const used = this.#used[partition]!;
    if (used > 0) writeAll(this.#fds[partition]!, this.#buffers[partition]!.subarray(0, used));
    this.#used[partition] = 0;
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

/** FNV-1a. */
function hash(db: number, key: Uint8Array): number {
  let h = 0x811c9dc5 ^ db;
  for (let i = 0; i < key.length; i++) h = Math.imul(h ^ key[i]!, 0x01000193);
  // Its low bits alone spread badly.
  return (h ^ (h >>> 15)) >>> 0;
}
