import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { S3Client } from '@aws-sdk/client-s3';
import { RewindError } from '../../errors/rewind-error.ts';
import type { RepositorySettings } from '../open.ts';

/** How long a request is tried; longer outages are the caller's to wait out. */
export interface Patience {
  /** The first one included, with the SDK's own growing waits between them. */
  readonly attempts: number;
  readonly connectMs: number;
  /** A store that says nothing for so long is gone: the connection is given up and the request tried again. */
  readonly silenceMs: number;
}

const usual: Patience = { attempts: 4, connectMs: 10_000, silenceMs: 60_000 };
const CONNECTIONS = 32;

/**
 * A client of the store. Credentials come from the SDK's own chain when the first request is made.
 *
 * Checksums are left to the callers, who know whether they have them already.
 *
 * @throws STORE_CERTIFICATE_REFUSED when a PEM file cannot be read
 */
export async function s3Client(settings: RepositorySettings, patience: Patience = usual): Promise<S3Client> {
  const { tls } = settings;
  const [ca, cert, key] = await Promise.all([tls?.ca, tls?.cert, tls?.key].map(readPem));
  const reuse = { keepAlive: true, maxSockets: CONNECTIONS };
  return new S3Client({
    // A store of one's own has no regions; AWS' first one is what such stores sign with.
    region: settings.region ?? process.env.AWS_REGION ?? (settings.endpoint ? 'us-east-1' : undefined),
    endpoint: settings.endpoint,
    forcePathStyle: settings.pathStyle ?? false,
    maxAttempts: patience.attempts,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // `Expect: 100-continue` makes the SDK open a connection of its own for each part, without our certificates.
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: patience.connectMs,
      socketTimeout: patience.silenceMs,
      // Agents, not their options: given options, the SDK may make others without them.
      httpAgent: new HttpAgent(reuse),
      httpsAgent: new HttpsAgent({ ...reuse, ca, cert, key }),
    },
  });
}

async function readPem(path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  return readFile(path).catch((error: Error) => {
    throw new RewindError('STORE_CERTIFICATE_REFUSED', `${path} cannot be read: ${error.message}.`, { cause: error });
  });
}
