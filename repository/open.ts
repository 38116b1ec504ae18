import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RewindError } from '../errors/rewind-error.ts';
import { FileRepository } from './file/file-repository.ts';
import { assertKey } from './object-key.ts';
import type { Encryption, Repository } from './repository.ts';
import { s3Client } from './s3/client.ts';
import { S3Repository } from './s3/s3-repository.ts';

/** The configuration's `repository:` block. Credentials are not in it: they come from the AWS SDK's own chain. */
export interface RepositorySettings {
  /** `file:///absolute/folder` or `s3://bucket/prefix`. */
  readonly url: string;
  readonly region?: string;
  /** Of any S3-compatible server; default AWS. */
  readonly endpoint?: string;
  readonly pathStyle?: boolean;
  /** Default on s3: aws:kms under the store's own key. */
  readonly encryption?: Encryption;
  /** Paths of PEM files. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
}

/**
 * Opens the repository that an address names. Nothing is asked of it yet: a store that is down shows at the first use.
 *
 * @throws REPOSITORY_URL_INVALID
 */
export async function openRepository(settings: RepositorySettings): Promise<Repository> {
  const url = URL.canParse(settings.url) ? new URL(settings.url) : undefined;
  if (url?.protocol === 'file:' && settings.url.startsWith('file:///')) {
    const root = fileURLToPath(url).replace(/\/+$/, '');
    if (isAbsolute(root)) return new FileRepository(settings.url, root);
  }
  if (url?.protocol === 's3:' && url.host !== '' && !url.username && !url.port) {
    const prefix = decodeURIComponent(url.pathname).replace(/^\/+|\/+$/g, '');
    if (prefix !== '') assertKey(prefix);
    return new S3Repository(await s3Client(settings), {
      url: settings.url,
      bucket: url.host,
      prefix: prefix === '' ? '' : `${prefix}/`,
      encryption: settings.encryption ?? { sse: 'aws:kms' },
    });
  }
  throw new RewindError('REPOSITORY_URL_INVALID', `${JSON.stringify(settings.url)} is no address of a repository.`);
}

/** The same repository at every call; one that could not be opened is tried again at the next. */
export function openOnce(settings: RepositorySettings): () => Promise<Repository> {
  let opened: Promise<Repository> | undefined;
  return () => {
    const opening = (opened ??= openRepository(settings));
    opening.catch(() => {
      opened = undefined;
    });
    return opening;
  };
}
