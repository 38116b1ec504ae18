import { crc64Module, dataOffset } from './crc64-wasm.ts';

/** Bytes that go into the module's memory at once: they stay in the processor's second-level cache. */
const blockBytes = 128 * 1024;
const pageBytes = 64 * 1024;
/** Jones' polynomial, bits reversed (crc64.c of Redis). */
const polynomial = 0x95ac9329ac4bc9b5n;

declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { readonly exports: unknown };
};

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  update(crc: bigint, start: number, end: number): bigint;
}

/** The checksum over bytes that already lie in the module's own memory: nothing is copied. */
export interface Crc64Memory {
  /** All of the memory; what is before `dataOffset` is the module's own. */
  readonly bytes: Uint8Array;
  readonly dataOffset: number;
  /** Goes on from `crc` (0n to begin) over the memory's bytes [start, end). As a signed 64-bit integer. */
  readonly update: (crc: bigint, start: number, end: number) => bigint;
}

/** A memory for `size` bytes of data. */
export function crc64Memory(size: number): Crc64Memory {
  const pages = Math.ceil((dataOffset + size) / pageBytes);
  const { memory, update } = new WebAssembly.Instance(new WebAssembly.Module(crc64Module(pages))).exports as Exports;
  fillTables(new BigUint64Array(memory.buffer, 0, 8 * 256));
  return { bytes: new Uint8Array(memory.buffer), dataOffset, update };
}

const { bytes, update } = crc64Memory(blockBytes);

/** Table 0 advances the checksum by one byte; table n by one byte that n more bytes follow. */
function fillTables(table: BigUint64Array): void {
  for (let byte = 0; byte < 256; byte++) {
    let crc = BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1n) === 1n ? (crc >> 1n) ^ polynomial : crc >> 1n;
    table[byte] = crc;
  }
  for (let i = 256; i < table.length; i++) {
    const before = table[i - 256]!;
    table[i] = (before >> 8n) ^ table[Number(before & 0xffn)]!;
  }
}

/** The CRC-64 that stands at the end of a dump: Jones' polynomial, beginning with 0, nothing added at the end. */
export class Crc64 {
  #crc = 0n;

  update(source: Uint8Array, start = 0, end = source.length): void {
    for (let from = start; from < end; from += blockBytes) {
      const to = Math.min(from + blockBytes, end);
      bytes.set(source.subarray(from, to), dataOffset);
      this.#crc = BigInt.asUintN(64, update(this.#crc, dataOffset, dataOffset + to - from));
    }
  }

  get value(): bigint {
    return this.#crc;
  }
}
