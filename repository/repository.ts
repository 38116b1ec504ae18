import type { Readable } from 'node:stream';

/** Encryption at rest, as asked of a store and as it answers. */
export interface Encryption {
  readonly sse: 'aws:kms' | 'AES256' | 'none';
  /** As the store names the key: on AWS its ARN. */
  readonly kmsKeyId?: string;
}

/** A checksum that the store itself keeps. `COMPOSITE`: over the checksums of the parts, not over the bytes. */
export interface StoreChecksum {
  readonly algorithm: 'CRC32';
  /** Base64, as the store answers it; a composite one ends in `-<parts>`. */
  readonly value: string;
  readonly type: 'FULL_OBJECT' | 'COMPOSITE';
}

/** What the store says of an object when it is asked anew. */
export interface StoredObject {
  /** Relative to the repository. */
  readonly key: string;
  readonly sizeBytes: number;
  readonly encryption: Encryption;
  /** Absent: the store returns none; only reading the bytes back proves them. */
  readonly checksum?: StoreChecksum;
  readonly etag?: string;
  readonly versionId?: string;
}

/** All that a later process needs to go on with an upload; the parts themselves are asked of the store. Plain data. */
export interface UploadCursor {
  readonly uploadId: string;
  readonly partSize: number;
}

export interface PutOptions {
  readonly signal?: AbortSignal;
  /** Bytes stored so far, of how many. */
  readonly onProgress?: (bytes: number, total: number) => void;
  /** On average over the upload; a store gets it in bursts of one part. */
  readonly bytesPerSecond?: number;
}

export interface PutFileOptions extends PutOptions {
  /** As long as the file must be. */
  readonly sizeBytes: number;
  /** Cursor of an attempt that was cut off. One that has become useless is harmless. */
  readonly resume?: UploadCursor;
  /** With it, an upload that is cut off (cancelled, too) stays open to be continued; without it, it is removed. */
  readonly onCursor?: (cursor: UploadCursor) => void;
}

export interface PutAheadOptions extends PutOptions {
  /** Settles when nothing more is appended. */
  readonly whole: Promise<unknown>;
  /** About how many bytes the file will have: parts are made large enough for twice that. */
  readonly sizeHint: number;
  readonly onCursor: (cursor: UploadCursor) => void;
}

export interface PutStreamOptions extends PutOptions {
  /** About how many bytes will come: parts are made large enough for twice that. */
  readonly sizeHint?: number;
}

export interface ReadOptions {
  /** First byte, default 0. */
  readonly start?: number;
  /** One past the last byte, default the end. */
  readonly end?: number;
  readonly signal?: AbortSignal;
}

export interface ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** When it was stored, by the store's clock. */
  readonly modified: Date;
}

/**
 * Where backups live. Keys are relative, with `/` between their parts. An object is visible only once it is whole, and
 * a name is never overwritten. Errors are RewindErrors: STORE_*, OBJECT_*, UPLOAD_*, ENCRYPTION_*; a cancelled call
 * rejects with the signal's reason.
 */
export interface Repository {
  /** As configured; without credentials by construction. */
  readonly url: string;
  readonly kind: 'file' | 's3';

  /**
   * Stores a file. The same bytes already there are success, other bytes OBJECT_EXISTS.
   *
   * @throws UPLOAD_DAMAGED, ENCRYPTION_IGNORED when the store does not have it as asked for
   */
  putFile(key: string, source: FileSource, options: PutFileOptions): Promise<StoredObject>;

  /**
   * Stores ahead of time what a file has that somebody still appends to: as much of it as can be stored in parts, until
   * `whole` settles. `putFile` with the cursor goes on from there, and compares every byte with the file as it is then.
   *
   * @returns undefined where nothing was worth storing ahead
   */
  putAhead(key: string, fd: number, options: PutAheadOptions): Promise<UploadCursor | undefined>;

  /** Stores what comes, to its end; it cannot be continued. Otherwise as `putFile`. */
  putStream(key: string, chunks: AsyncIterable<Uint8Array>, options?: PutStreamOptions): Promise<StoredObject>;

  /** Stores a few bytes at once. Otherwise as `putFile`. */
  putSmall(key: string, bytes: Uint8Array): Promise<StoredObject>;

  stat(key: string): Promise<StoredObject | undefined>;

  /** The bytes of an object; a dropped connection is taken up again where it broke. @throws OBJECT_MISSING */
  read(key: string, options?: ReadOptions): Promise<Readable>;

  /** @throws OBJECT_MISSING; OBJECT_TOO_LARGE over `maxBytes` */
  readSmall(key: string, maxBytes: number): Promise<Buffer>;

  /** Every whole object whose key begins with `prefix`. */
  list(prefix: string): AsyncIterable<ListedObject>;

  /**
   * Removes uploads that were never completed, of keys that begin with `prefix`.
   *
   * @param startedBefore only older ones, by the store's clock; without it all
   * @returns how many
   */
  sweepUploads(prefix: string, startedBefore?: Date): Promise<number>;

  /** Removes an object; one that is not there is fine. */
  remove(key: string): Promise<void>;

  /** Moves every object of one directory into another, encrypted as ever. Killed in the middle, the same call ends it. */
  move(fromDirectory: string, toDirectory: string): Promise<void>;

  /**
   * Asks the store anew and compares with what was asked for and what it answered then.
   *
   * @throws OBJECT_MISSING, OBJECT_DIFFERS, ENCRYPTION_IGNORED, ENCRYPTION_KEY_CHANGED: the message says what differs
   */
  verifyStored(
    key: string,
    expected: Pick<StoredObject, 'sizeBytes' | 'checksum' | 'encryption'>,
  ): Promise<StoredObject>;

  /** Lets go of connections. */
  close(): void;
}

/** A file by its path, or one that is already open (it stays open). */
export type FileSource = { readonly path: string } | { readonly fd: number };
