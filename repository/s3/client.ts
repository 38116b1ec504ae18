import { readFile } from 'node:fs/promises';
import { S3Client } from '@aws-sdk/client-s3';
import type { RepositorySettings } from '../open.ts';

/** Of one request, the first one included, with the SDK's own growing waits; longer outages are the caller's to wait out. */
const ATTEMPTS = 5;
const CONNECT_MS = 10_000;
/** A store that says nothing for so long is gone: the connection is given up and the request tried again. */
const SILENCE_MS = 60_000;
const CONNECTIONS = 32;

/**
 * A client of the store. Credentials come from the SDK's own chain when the first request is made.
 *
 * Checksums are left to the callers, who know whether they have them already.
 */
export async function s3Client(settings: RepositorySettings): Promise<S3Client> {
  const { tls } = settings;
  const [ca, cert, key] = await Promise.all([tls?.ca, tls?.cert, tls?.key].map(async (path) => path && readFile(path)));
  const agent = { keepAlive: true, maxSockets: CONNECTIONS };
  return new S3Client({
    // A store of one's own has no regions; AWS' first one is what such stores sign with.
    region: settings.region ?? (settings.endpoint ? 'us-east-1' : undefined),
    endpoint: settings.endpoint,
    forcePathStyle: settings.pathStyle ?? false,
    maxAttempts: ATTEMPTS,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      socketTimeout: SILENCE_MS,
      httpAgent: agent,
      httpsAgent: { ...agent, ca: ca || undefined, cert: cert || undefined, key: key || undefined },
    },
  });
}
