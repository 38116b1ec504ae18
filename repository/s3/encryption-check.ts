import { createHash } from 'node:crypto';
import * as z from 'zod';
import { RewindError } from '../../errors/rewind-error.ts';
import type { Encryption, StoredObject } from '../repository.ts';
import { inWords } from '../stored-comparison.ts';

/** Which key an alias stood for at the first upload; written once and never changed. */
export const pinSchema = z.object({
  formatVersion: z.literal(1),
  asked: z.string().max(2048),
  answered: z.string().max(2048),
  recordedAt: z.iso.datetime(),
});
const PIN_BYTES = 16 * 1024;

/** What the check needs of the repository: pins are objects in it like any other. */
export interface PinStore {
  readSmall(key: string, maxBytes: number): Promise<Buffer>;
  /** Without the check of its encryption, which is under way. False when the name is taken. */
  create(key: string, bytes: Uint8Array): Promise<boolean>;
}

/**
 * Checks that an object is encrypted as the configuration asks, from what the store says of it when asked anew.
 *
 * An alias says nothing by itself: AWS answers the ARN of the key that it stands for. The ARN of the first upload is
 * recorded in the repository, and another one later is an error.
 */
export class EncryptionCheck {
  readonly #asked: Encryption;
  readonly #pins: PinStore;
  /** The key that the alias stands for, once it is known. */
  #pinned: string | undefined;

  constructor(asked: Encryption, pins: PinStore) {
    this.#asked = asked;
    this.#pins = pins;
  }

  /** @throws ENCRYPTION_IGNORED, ENCRYPTION_KEY_CHANGED */
  async assert({ key, encryption }: StoredObject): Promise<void> {
    const asked = this.#asked;
    if (asked.sse === 'none') return;
    if (encryption.sse !== asked.sse) {
      throw ignored(key, `${inWords(asked)} was asked for and the store kept it with ${inWords(encryption)}`);
    }
    if (asked.sse !== 'aws:kms' || asked.kmsKeyId === undefined) return;
    if (encryption.kmsKeyId === undefined) {
      throw ignored(key, `the key ${asked.kmsKeyId} was asked for and the store does not say which one it used`);
    }
    if (namesSameKey(asked.kmsKeyId, encryption.kmsKeyId)) return;
    if (!isAlias(asked.kmsKeyId)) {
      throw ignored(key, `the key ${asked.kmsKeyId} was asked for and the store used ${encryption.kmsKeyId}`);
    }
    this.#pinned ??= await this.#pin(asked.kmsKeyId, encryption.kmsKeyId);
    if (this.#pinned !== encryption.kmsKeyId) {
      throw new RewindError(
        'ENCRYPTION_KEY_CHANGED',
        `${key}: ${asked.kmsKeyId} stood for ${this.#pinned} at the first upload and now stands for ${encryption.kmsKeyId}.`,
      );
    }
  }

  /** @returns the key of the first upload, which may have been somebody else's a moment ago */
  async #pin(asked: string, answered: string): Promise<string> {
    const key = `encryption/${createHash('sha256').update(asked).digest('hex').slice(0, 16)}.json`;
    const pin = { formatVersion: 1, asked, answered, recordedAt: new Date().toISOString() };
    if (await this.#pins.create(key, Buffer.from(`${JSON.stringify(pin, null, 2)}\n`))) return answered;
    const bytes = await this.#pins.readSmall(key, PIN_BYTES);
    try {
      return pinSchema.parse(JSON.parse(bytes.toString('utf8'))).answered;
    } catch (error) {
      throw new RewindError('MANIFEST_INVALID', `${key} does not say which key ${asked} stands for.`, { cause: error });
    }
  }
}

/** `alias/name`, or an ARN that ends so. */
const isAlias = (key: string): boolean => key.startsWith('alias/') || key.includes(':alias/');

/** A key's id stands at the end of its ARN; MinIO puts `arn:aws:kms:` before whatever name it was given. */
function namesSameKey(asked: string, answered: string): boolean {
  return answered === asked || answered.endsWith(`:key/${asked}`) || answered === `arn:aws:kms:${asked}`;
}

function ignored(key: string, what: string): RewindError {
  return new RewindError('ENCRYPTION_IGNORED', `${key}: ${what}.`);
}
