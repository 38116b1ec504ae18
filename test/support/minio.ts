import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { foundPart } from '../../process/found-parts.ts';
import { freePort } from '../../process/free-port.ts';
import { startLeashed } from '../../process/leash.ts';
import { untilReady } from '../../process/until-ready.ts';
import { createBucket, randomCredentials, region, type S3Access } from './s3-store.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** A real MinIO: it encrypts under aws:kms with the key it was given, and refuses any other key id. */
export interface Minio extends S3Access {
  readonly bucket: string;
  /** The only key that it knows. */
  readonly kmsKeyId: string;
  /** Where the objects lie, for a test that damages one. */
  readonly dataDir: string;
  readonly pid: number;
  stop(): Promise<void>;
  kill9(): Promise<void>;
  /** Starts it again on the same port and data. */
  restart(): Promise<void>;
}

/** Starts MinIO on free loopback ports with an empty bucket; it ends with the test's process. */
export async function startMinio(): Promise<Minio> {
  const folder = await temporaryFolder('minio');
  const dataDir = join(folder.path, 'data');
  await mkdir(dataDir);
  const [port, consolePort] = [await freePort(), await freePort()];
  const kmsKeyId = 'rewind-test-key';
  const credentials = randomCredentials();
  const endpoint = `http://127.0.0.1:${port}`;
  const logFile = join(folder.path, 'minio.log');
  const env = {
    ...process.env,
    HOME: folder.path,
    MINIO_ROOT_USER: credentials.id,
    MINIO_ROOT_PASSWORD: credentials.secret,
    MINIO_KMS_SECRET_KEY: `${kmsKeyId}:${randomBytes(32).toString('base64')}`,
    MINIO_BROWSER: 'off',
    MINIO_UPDATE: 'off',
  };

  const start = async () => {
    const program = await startLeashed({
      name: 'minio',
      command: foundPart('minio').path,
      args: ['server', '--address', `127.0.0.1:${port}`, '--console-address', `127.0.0.1:${consolePort}`, dataDir],
      cwd: folder.path,
      env,
      logFile,
      cleanup: [folder.path],
    });
    await untilReady(program, async () => (await fetch(`${endpoint}/minio/health/ready`)).ok, {
      timeoutMs: 60_000,
      logFile,
    });
    return program;
  };

  let program = await start();
  const access = { endpoint, region, env: credentials.env };
  const bucket = await createBucket(access);
  return {
    ...access,
    bucket,
    kmsKeyId,
    dataDir,
    get pid() {
      return program.pid;
    },
    stop: () => program.stop(),
    kill9: async () => {
      process.kill(program.pid, 'SIGKILL');
      await program.exited;
    },
    restart: async () => {
      await program.stop({ keepFolders: true });
      program = await start();
    },
  };
}
