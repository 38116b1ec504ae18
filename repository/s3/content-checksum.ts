import type { StoreChecksum } from '../repository.ts';
import { combineCrc32, compositeCrc32, crc32Base64 } from './crc32.ts';

/** The checksums of an object's parts as they were read here, in both forms in which a store may answer. */
export class ContentChecksum {
  readonly #parts: number[] = [];
  #whole = 0;
  #bytes = 0;

  add(partCrc32: number, partBytes: number): void {
    this.#parts.push(partCrc32);
    this.#whole = combineCrc32(this.#whole, partCrc32, partBytes);
    this.#bytes += partBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Base64 of the CRC-32 over all bytes. */
  get fullObject(): string {
    return crc32Base64(this.#whole);
  }

  /** Whether the store's checksum is that of the bytes that were read. */
  agreesWith(answered: StoreChecksum): boolean {
    return answered.value === (answered.type === 'COMPOSITE' ? compositeCrc32(this.#parts) : this.fullObject);
  }
}
