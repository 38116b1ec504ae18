import type { RdbType } from './types.ts';

/** One key's record. The same object is given again and again: copy what is kept. */
export class RdbEntry {
  db = 0;
  typeCode = 0;
  type: RdbType = 'string';
  /** Unix ms; -1: never. */
  expireAtMs = -1;
  /** Seconds since the last access where the server kept them (maxmemory-policy LRU), else -1. */
  idleSeconds = -1;
  /** Access frequency where the server kept it (maxmemory-policy LFU), else -1. */
  frequency = -1;
  /** Offset of the record's first byte: its expiry's, idle time's or frequency's opcode, else the type byte. */
  start = 0;
  /** Offset of what modules keep beside the key, which goes up to `typeAt`; -1 where there is nothing. */
  metaAt = -1;
  /** Offset of the type byte; the key follows it. */
  typeAt = 0;
  /**
   * Offset of the value's first byte, behind the key. The body of a RESTORE payload is the type byte and the bytes
   * [valueStart, end); before them [metaAt, typeAt) where there is such.
   */
  valueStart = 0;
  /** Offset behind the value's last byte; known in `keyEnd`. */
  end = 0;
  /** The id of a module's type, known in `keyEnd`. */
  moduleId = 0n;
  /** The key's bytes are [keyStart, keyEnd) of `keyBytes`, valid during `key` only. */
  keyBytes: Uint8Array = new Uint8Array(0);
  keyStart = 0;
  keyEnd = 0;

  copyKey(): Buffer {
    return Buffer.from(this.keyBytes.subarray(this.keyStart, this.keyEnd));
  }
}
