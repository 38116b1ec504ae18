import type { S3Client } from '@aws-sdk/client-s3';
import { assertKey, assertPrefix } from '../object-key.ts';
import type { Encryption } from '../repository.ts';
import { storeFailure } from './store-failure.ts';

export interface S3Place {
  readonly url: string;
  readonly bucket: string;
  /** Empty, or ends with `/`. */
  readonly prefix: string;
  /** What every upload asks for. */
  readonly encryption: Encryption;
}

/** A bucket with a prefix: names requests' objects and tells their errors. */
export class S3Store {
  readonly client: S3Client;
  readonly place: S3Place;

  constructor(client: S3Client, place: S3Place) {
    this.client = client;
    this.place = place;
  }

  /** The `Bucket` and `Key` of every request about one object. */
  object(key: string): { Bucket: string; Key: string } {
    assertKey(key);
    return { Bucket: this.place.bucket, Key: this.place.prefix + key };
  }

  /** The `Bucket` and `Prefix` of every request for a list. */
  below(prefix: string): { Bucket: string; Prefix: string } {
    assertPrefix(prefix);
    return { Bucket: this.place.bucket, Prefix: this.place.prefix + prefix };
  }

  /** The key in the repository of an object's full name; undefined for what is not below the prefix. */
  keyOf(name: string | undefined): string | undefined {
    return name?.startsWith(this.place.prefix) ? name.slice(this.place.prefix.length) : undefined;
  }

  /** The request fields that ask for the encryption. */
  get asked(): { ServerSideEncryption?: 'aws:kms' | 'AES256'; SSEKMSKeyId?: string } {
    const { sse, kmsKeyId } = this.place.encryption;
    return sse === 'none' ? {} : { ServerSideEncryption: sse, SSEKMSKeyId: kmsKeyId };
  }

  /** Runs requests; their errors become the repository's. @param doing for messages: "storing KEY" */
  async told<T>(doing: string, request: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      signal?.throwIfAborted();
      return await request();
    } catch (error) {
      throw storeFailure(error, `${doing} in ${this.place.url}`, signal);
    }
  }
}
