import { type Crc64Memory, crc64Memory } from '../../rdb/crc64.ts';

/** What a batch of commands takes at most. */
export const slotBytes = 512 * 1024;
/** Keys in a batch at most. */
export const slotKeys = 4096;
const slots = 16;
/** Of the dump, as it was read last. */
export const tapeBytes = 1024 * 1024;

/** Room for a batch of commands, and what is known of each key in it, by its number in the batch. */
export class Slot {
  /** Where its bytes begin in the memory. */
  readonly at: number;
  /** Where the key's command begins, where its name lies and how long that is. */
  readonly commandAt = new Int32Array(slotKeys + 1);
  readonly keyAt = new Int32Array(slotKeys);
  readonly keyLength = new Int32Array(slotKeys);
  /** Where the payload lies, without its footer; of what is no RESTORE the value. */
  readonly bodyAt = new Int32Array(slotKeys);
  readonly bodyLength = new Int32Array(slotKeys);
  /** Where its record begins in the dump. */
  readonly recordAt = new Float64Array(slotKeys);
  /** Its expiry as it is sent, Unix ms; -1: never. */
  readonly expireAtMs = new Float64Array(slotKeys);

  constructor(at: number) {
    this.at = at;
  }
}

/**
 * The memory that keys pass through on their way: what was read of the dump, and the commands made of it. One piece, in
 * which the checksum's loop runs too, so that a key is copied once and nothing is allocated for it.
 */
export class WorkMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly crc: Crc64Memory['update'];
  readonly tapeAt: number;
  readonly #free: Slot[] = [];

  constructor() {
    const memory = crc64Memory(tapeBytes + slots * slotBytes);
    this.bytes = memory.bytes;
    this.view = new DataView(memory.bytes.buffer, memory.bytes.byteOffset);
    this.crc = memory.update;
    this.tapeAt = memory.dataOffset;
    for (let i = slots - 1; i >= 0; i--) {
      this.#free.push(new Slot(this.tapeAt + tapeBytes + i * slotBytes));
    }
  }

  get freeSlots(): number {
    return this.#free.length;
  }

  /** Undefined where all are in use. */
  take(): Slot | undefined {
    return this.#free.pop();
  }

  give(slot: Slot): void {
    this.#free.push(slot);
  }
}
