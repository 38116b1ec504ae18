import * as z from 'zod';
import { kindOf } from './leaves.ts';

// Addresses are never printed in messages: people write passwords into them.

const REDIS_URLS = 'redis://user@host:6379, rediss://… for TLS, or unix:///path/to/socket';
const REPOSITORY_URLS = 's3://bucket/prefix or file:///absolute/folder';

/** Where a Redis is, with a user name at most. The password has a key of its own. */
export function redisUrl() {
  return address(REDIS_URLS, wrongRedisUrl).meta({ format: 'uri', pattern: '^(redis|rediss|unix)://' });
}

/** Where backups are kept. */
export function repositoryUrl() {
  return address(REPOSITORY_URLS, wrongRepositoryUrl).meta({ format: 'uri', pattern: '^(s3|file)://' });
}

/** An http address, as of an S3-compatible server. */
export function httpUrl() {
  return address('https://host or http://host:port', (url) => {
    if (!/^https?:$/.test(url.protocol)) return 'has another scheme';
    if (url.username || url.password) return 'carries a login; credentials come from the AWS SDK’s own chain';
    return url.search || url.hash ? 'has more than a host and a path' : undefined;
  }).meta({ format: 'uri', pattern: '^https?://' });
}

/** host:port, as Sentinel and Temporal are addressed. */
export function hostPort(example: string) {
  const accepted = `host:port, such as ${example}`;
  return z
    .string({ error: ({ input }) => `is ${kindOf(input)}; accepted: ${accepted}` })
    .regex(/^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([1-9]\d{0,4})$/, {
      error: () => `is no address; accepted: ${accepted}`,
    });
}

function address(accepted: string, wrong: (url: URL, written: string) => string | undefined) {
  return z.string({ error: ({ input }) => `is ${kindOf(input)}; accepted: ${accepted}` }).check((payload) => {
    const written = payload.value;
    const url = URL.canParse(written) ? new URL(written) : undefined;
    const why = url && !/\s/.test(written) ? wrong(url, written) : 'is no address';
    if (why) payload.issues.push({ code: 'custom', input: written, message: `${why}; accepted: ${accepted}` });
  });
}

function wrongRedisUrl(url: URL): string | undefined {
  if (url.password)
    return 'carries a password (not shown); name it by password: { env: NAME } or { file: PATH } instead';
  if (url.protocol === 'unix:') return url.pathname.length > 1 && !url.host ? undefined : 'names no socket';
  if (!/^rediss?:$/.test(url.protocol)) return 'has another scheme';
  if (!url.hostname) return 'names no host';
  if (url.search || url.hash) return 'has more than a host and a port';
  return /^\/?$/.test(url.pathname) ? undefined : 'names a database; a backup holds every database, so leave it off';
}

function wrongRepositoryUrl(url: URL, written: string): string | undefined {
  if (url.username || url.password) return 'carries a login; credentials come from the AWS SDK’s own chain';
  if (url.search || url.hash) return 'has more than a bucket and a prefix';
  if (url.protocol === 's3:')
    return /^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/|$)/.test(written) ? undefined : 'names no possible bucket';
  if (url.protocol !== 'file:') return 'has another scheme';
  return /^file:\/\/\/[^/]/.test(written) ? undefined : 'is not absolute (three slashes: file:///folder)';
}
