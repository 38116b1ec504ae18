import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { promisify } from 'node:util';
import { describe, expect, inject, test } from 'vitest';
import { parseConfig } from '../../config/load.ts';
import { foundPart } from '../../process/found-parts.ts';
import { searchAttributes } from '../../workflows/search-attributes.ts';
import { codeBlock, readCompose, readText } from './compose-file.ts';

const page = 'docs/DEPLOYMENT.md';
const run = promisify(execFile);

describe('what docs/DEPLOYMENT.md tells an operator to type', () => {
  test('a configuration on the page that a role would refuse', () => {
    const blocks = [...readText(page).matchAll(/```yaml\n(.*?)```/gs)].map(([, yaml]) => yaml as string);
    expect(blocks).toHaveLength(2);
    for (const yaml of blocks) {
      const { notInForce } = parseConfig(yaml, { name: page, folder: '/etc/rewind', home: '/var/lib/rewind' });
      expect(notInForce).toEqual([]);
    }
  });

  test('search attributes that an administrator made by the page’s command, and a worker would still miss one', async () => {
    const env = { PATH: process.env.PATH, HOME: '/nonexistent', TEMPORAL_ADDRESS: inject('temporal').address };
    const namespace = `page-${randomUUID()}`;
    const temporal = (...args: string[]) =>
      run(foundPart('temporal').path, [...args, '--namespace', namespace], { env });
    await temporal('operator', 'namespace', 'create');
    const block = codeBlock(page, 'search-attributes').trim();
    await expect.poll(() => temporal('workflow', 'count').then(Boolean, () => false), { timeout: 30_000 }).toBe(true);
    await temporal(...block.split(/\s+/).slice(1));
    await expect
      .poll(async () => (await temporal('operator', 'search-attribute', 'list')).stdout, { timeout: 30_000 })
      .toSatisfy((list: string) => Object.values(searchAttributes).every(({ name }) => list.includes(`${name} `)));
  });

  test('a request to the store that the page’s policy does not allow', () => {
    const policy = JSON.parse(codeBlock(page, 's3-policy')) as { Statement: { Action: string[] }[] };
    const allowed = policy.Statement.flatMap(({ Action }) => Action).filter((action) => action.startsWith('s3:'));
    const folder = 'repository/s3';
    const requests = readdirSync(folder).flatMap((file) => [
      ...readText(`${folder}/${file}`).matchAll(/new (\w+)Command[(]|paginate(\w+)[(]/g),
    ]);
    const needed = new Set(
      requests.map(
        ([, name = '', listed = '']) => actions[name || listed] ?? `no action is known for ${name || listed}`,
      ),
    );
    expect(allowed.sort()).toEqual([...needed].sort());
  });

  test('a service or a role that the page does not know', () => {
    for (const name of Object.keys(readCompose().services)) expect(readText(page)).toContain(`\`${name}\``);
  });
});

/** The right that each request of S3 needs, by AWS' list of actions. */
const actions: Record<string, string> = {
  AbortMultipartUpload: 's3:AbortMultipartUpload',
  CompleteMultipartUpload: 's3:PutObject',
  CopyObject: 's3:PutObject',
  CreateMultipartUpload: 's3:PutObject',
  DeleteObject: 's3:DeleteObject',
  GetObject: 's3:GetObject',
  HeadObject: 's3:GetObject',
  ListMultipartUploads: 's3:ListBucketMultipartUploads',
  ListObjectsV2: 's3:ListBucket',
  ListParts: 's3:ListMultipartUploadParts',
  PutObject: 's3:PutObject',
  UploadPart: 's3:PutObject',
  UploadPartCopy: 's3:PutObject',
};
