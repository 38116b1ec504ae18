import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { RepositorySettings } from '../../repository/open.ts';
import { settingsFor, testPlace } from '../support/s3-repository.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const minio = inject('minio');
let home: TemporaryFolder;
beforeAll(async () => {
  home = await temporaryFolder('credentials');
});
afterAll(() => home.remove());

test('without credentials anywhere in the SDK’s chain it is said so', () => {
  const answer = putSmall(settingsFor(testPlace(minio), { encryption: { sse: 'none' } }), {});
  expect(answer).toMatchObject({ code: 'STORE_CREDENTIALS_MISSING', retryable: false });
});

test('without a region, where no endpoint is named, it is said so', () => {
  const settings = { url: 's3://my-company-backups/redis', encryption: { sse: 'none' } } as const;
  const { AWS_REGION: _, ...credentials } = minio.env;
  const answer = putSmall(settings, credentials);
  expect(answer).toMatchObject({ code: 'STORE_CREDENTIALS_MISSING', message: expect.stringMatching(/region/i) });
});

test('credentials of a profile are found: they need not be in the environment', async () => {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = minio.env;
  const file = join(home.path, 'credentials');
  const lines = [
    '[backups]',
    `aws_access_key_id = ${AWS_ACCESS_KEY_ID}`,
    `aws_secret_access_key = ${AWS_SECRET_ACCESS_KEY}`,
    '',
  ];
  await writeFile(file, lines.join('\n'), { mode: 0o600 });
  const settings = settingsFor(testPlace(minio), { encryption: { sse: 'none' } });
  expect(putSmall(settings, { AWS_SHARED_CREDENTIALS_FILE: file, AWS_PROFILE: 'backups' })).toEqual({ sizeBytes: 1 });
});

/** In a process with nothing of AWS in its environment but `env`. */
function putSmall(settings: RepositorySettings, env: Record<string, string>): Record<string, unknown> {
  const open = new URL('../../repository/open.ts', import.meta.url).href;
  const script = `
    const { openRepository } = await import(${JSON.stringify(open)});
    const repository = await openRepository(${JSON.stringify(settings)});
    const answer = await repository.putSmall('hourly/a', Buffer.from('x')).then(
      ({ sizeBytes }) => ({ sizeBytes }),
      ({ code, message, retryable }) => ({ code, message, retryable }),
    );
    console.log(JSON.stringify(answer));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    // The instance's own credentials would be asked for on the network.
    env: { PATH: process.env.PATH, HOME: home.path, AWS_EC2_METADATA_DISABLED: 'true', ...env },
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}
