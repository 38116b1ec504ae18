import { setTimeout as sleep } from 'node:timers/promises';
import { AbortMultipartUploadCommand, ListMultipartUploadsCommand, ListPartsCommand } from '@aws-sdk/client-s3';
import { uploadedInParts } from '../layout.ts';
import type { S3Store } from './store.ts';
import { isNotFound } from './store-failure.ts';

/** A part as the store lists it. */
export interface StoredPart {
  readonly sizeBytes: number;
  readonly etag?: string;
  /** Base64; absent where the store keeps none: such a part is not trusted. */
  readonly crc32?: string;
}

/** An upload that was begun and not completed. */
export interface OpenUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly startedAt?: Date;
}

/** How often parts that are still arriving may bring an aborted upload back, and the wait between, in milliseconds. */
const ABORT_ATTEMPTS = 5;
const ABORT_WAIT_MS = 200;

/** The parts that the store has of an upload, by number; undefined when it does not know the upload. */
export async function partsOf(
  store: S3Store,
  key: string,
  uploadId: string,
  signal?: AbortSignal,
): Promise<Map<number, StoredPart> | undefined> {
  const parts = new Map<number, StoredPart>();
  return store.told(
    `asking for the parts of ${key}`,
    async () => {
      try {
        // Not the SDK's paginator: it goes by the marker alone, and MinIO gives one behind the last page, too.
        for (let from: string | undefined; ; ) {
          const request = new ListPartsCommand({ ...store.object(key), UploadId: uploadId, PartNumberMarker: from });
          const page = await store.client.send(request, { abortSignal: signal });
          for (const { PartNumber, Size, ETag, ChecksumCRC32 } of page.Parts ?? []) {
            parts.set(PartNumber ?? 0, { sizeBytes: Size ?? 0, etag: ETag, crc32: ChecksumCRC32 });
          }
          if (!page.IsTruncated || !page.NextPartNumberMarker) break;
          from = page.NextPartNumberMarker;
        }
        return parts;
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    signal,
  );
}

/**
 * Open uploads of keys that begin with the prefix. Some stores (MinIO) list them only by their exact name, so below a
 * backup's directory the names that are uploaded in parts are asked for one by one, too.
 */
export async function openUploads(store: S3Store, prefix: string): Promise<OpenUpload[]> {
  const names =
    prefix === '' || prefix.endsWith('/') ? [prefix, ...uploadedInParts.map((name) => prefix + name)] : [prefix];
  const found = new Map<string, OpenUpload>();
  for (const name of names) {
    for await (const upload of listed(store, name)) {
      if (upload.key.startsWith(prefix)) found.set(upload.uploadId, upload);
    }
  }
  return [...found.values()];
}

async function* listed(store: S3Store, prefix: string): AsyncGenerator<OpenUpload> {
  let from: { KeyMarker?: string; UploadIdMarker?: string } = {};
  for (;;) {
    const request = new ListMultipartUploadsCommand({ ...store.below(prefix), ...from });
    const page = await store.told(`asking for open uploads of ${prefix}`, () => store.client.send(request));
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      const key = store.keyOf(Key);
      if (key && UploadId) yield { key, uploadId: UploadId, startedAt: Initiated };
    }
    if (!page.IsTruncated || !page.NextKeyMarker) return;
    from = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
  }
}

/** Ends an upload and frees its parts. A part that was under way may arrive after the first abort: look again. */
export async function abortUpload(store: S3Store, { key, uploadId }: OpenUpload): Promise<void> {
  const upload = { ...store.object(key), UploadId: uploadId };
  await store.told(`removing an open upload of ${key}`, async () => {
    for (let attempt = 1; attempt <= ABORT_ATTEMPTS; attempt += 1) {
      try {
        await store.client.send(new AbortMultipartUploadCommand(upload));
        const { Parts = [] } = await store.client.send(new ListPartsCommand({ ...upload, MaxParts: 1 }));
        if (Parts.length === 0) return;
      } catch (error) {
        if (isNotFound(error)) return;
        throw error;
      }
      await sleep(ABORT_WAIT_MS * attempt);
    }
  });
}
