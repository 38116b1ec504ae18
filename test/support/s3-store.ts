import { randomBytes } from 'node:crypto';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';

/** What a test needs to reach a real S3 server that it, or the suite, started. Plain data: it crosses processes. */
export interface S3Access {
  readonly endpoint: string;
  readonly region: string;
  /** For the SDK's own credential chain: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION. */
  readonly env: Readonly<Record<string, string>>;
}

export const region = 'us-east-1';

/** New credentials; they reach the server by its environment only. */
export function randomCredentials(): { id: string; secret: string; env: Record<string, string> } {
  const id = `T${randomBytes(9).toString('hex').toUpperCase()}`;
  const secret = randomBytes(24).toString('hex');
  return { id, secret, env: { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_REGION: region } };
}

/** A client of the test's own, for looking at what the product did. */
export function s3Client(access: S3Access): S3Client {
  return new S3Client({
    endpoint: access.endpoint,
    region: access.region,
    forcePathStyle: true,
    credentials: {
      accessKeyId: access.env.AWS_ACCESS_KEY_ID as string,
      secretAccessKey: access.env.AWS_SECRET_ACCESS_KEY as string,
    },
  });
}

/** A bucket that no other test has. */
export async function createBucket(access: S3Access, purpose = 'test'): Promise<string> {
  const bucket = `rewind-${purpose}-${randomBytes(6).toString('hex')}`;
  const client = s3Client(access);
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
  } finally {
    client.destroy();
  }
  return bucket;
}
