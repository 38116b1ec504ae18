/** Arguments that are held, the command's name among them; a longer list is only walked over. */
export const heldArguments = 8;
/** A longer argument is not held, nor any behind it. */
export const heldArgumentBytes = 64 * 1024;

/**
 * One command of an append-only file. The same object is given again and again, and its bytes are valid only during the
 * call: copy what is kept.
 */
export class AofCommand {
  /** Offset of the command's first byte in the file, and behind its last. */
  start = 0;
  end = 0;
  /** The name is argument 0. */
  argc = 0;
  /** The database that it works on: of a SELECT the one before it. */
  db = 0;
  /** Offset of the MULTI of the transaction that it is in, MULTI and EXEC themselves too; -1 outside of one. */
  transactionAt = -1;
  /** How many of its first arguments are held: `min(argc, 8)`, fewer where one is longer than 64 KiB. */
  held = 0;
  /** Argument i is [argumentStart[i], argumentEnd[i]) of `bytes`, for i below `held`. */
  bytes: Uint8Array = new Uint8Array(0);
  readonly argumentStart = new Int32Array(heldArguments);
  readonly argumentEnd = new Int32Array(heldArguments);

  /** True for a command of this name, written in whatever case. @param name in lower case */
  is(name: string): boolean {
    return this.held > 0 && this.argumentIs(0, name);
  }

  /** True where the argument is held and is this word in whatever case. @param word in lower case, ASCII */
  argumentIs(index: number, word: string): boolean {
    if (index >= this.held) return false;
    const start = this.argumentStart[index]!;
    if (this.argumentEnd[index]! - start !== word.length) return false;
    for (let i = 0; i < word.length; i++) {
      const byte = this.bytes[start + i]!;
      const lower = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
      if (lower !== word.charCodeAt(i)) return false;
    }
    return true;
  }

  /** A copy of the argument; undefined where it is not held. */
  copyArgument(index: number): Buffer | undefined {
    if (index >= this.held) return undefined;
    return Buffer.from(this.bytes.subarray(this.argumentStart[index], this.argumentEnd[index]));
  }
}
