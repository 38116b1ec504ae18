import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { foundPart, foundParts } from '../../process/found-parts.ts';
import { freePort } from '../../process/free-port.ts';
import { startLeashed } from '../../process/leash.ts';
import { untilReady } from '../../process/until-ready.ts';
import { createBucket, randomCredentials, region, type S3Access } from './s3-store.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** A real S3 gateway that accepts aws:kms and silently does not encrypt. */
export interface Versitygw extends S3Access {
  readonly bucket: string;
  readonly dataDir: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Why it is not on this machine, or undefined when it is. */
export function missingVersitygw(): string | undefined {
  const part = foundParts().versitygw;
  if (part === undefined) return 'the bootstrap was not asked for it';
  return 'unavailable' in part ? part.unavailable : undefined;
}

/** Starts versitygw over a temporary folder; it ends with the test's process. */
export async function startVersitygw(): Promise<Versitygw> {
  const folder = await temporaryFolder('versitygw');
  const dataDir = join(folder.path, 'data');
  await mkdir(dataDir);
  const port = await freePort();
  const credentials = randomCredentials();
  const endpoint = `http://127.0.0.1:${port}`;
  const logFile = join(folder.path, 'versitygw.log');
  const program = await startLeashed({
    name: 'versitygw',
    command: foundPart('versitygw').path,
    args: ['--port', `127.0.0.1:${port}`, '--region', region, '--quiet', 'posix', dataDir],
    cwd: folder.path,
    env: {
      ...process.env,
      ROOT_ACCESS_KEY_ID: credentials.id,
      ROOT_SECRET_ACCESS_KEY: credentials.secret,
    },
    logFile,
    cleanup: [folder.path],
  });
  // Any answer will do: without a signature it is a refusal.
  await untilReady(program, async () => (await fetch(endpoint)).status > 0, { timeoutMs: 20_000, logFile });
  const access = { endpoint, region, env: credentials.env };
  const bucket = await createBucket(access);
  return { ...access, bucket, dataDir, pid: program.pid, stop: () => program.stop() };
}
