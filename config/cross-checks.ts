import type { Path } from './yaml-source.ts';

/** A rule between keys that is broken: the message completes the path of the key that is to be mended. */
export interface Conflict {
  readonly path: Path;
  readonly message: string;
}

type Block = Record<string, unknown>;

const isBlock = (value: unknown): value is Block =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const blockAt = (value: unknown, key: string): Block | undefined =>
  isBlock(value) && isBlock(value[key]) ? value[key] : undefined;
const schemeOf = (url: unknown): string | undefined =>
  typeof url === 'string' ? /^([a-z0-9+.-]+):/i.exec(url)?.[1] : undefined;

/**
 * Rules between keys, on the file as it was written: they are looked at even where single values are wrong, so that one
 * run tells everything.
 */
export function crossChecks(file: unknown): Conflict[] {
  const instances = blockAt(file, 'instances') ?? {};
  return [
    ...repositoryConflicts(blockAt(file, 'repository') ?? {}),
    ...Object.entries(instances).flatMap(([name, instance]) =>
      isBlock(instance)
        ? instanceConflicts(instance).map(({ path, message }) => ({ path: ['instances', name, ...path], message }))
        : [],
    ),
  ];
}

function repositoryConflicts(repository: Block): Conflict[] {
  const scheme = schemeOf(repository.url) ?? 'file';
  const encryption = blockAt(repository, 'encryption');
  const conflicts: Conflict[] = [];
  if (scheme === 'file') {
    for (const key of ['region', 'endpoint', 'pathStyle', 'tls']) {
      if (key in repository)
        conflicts.push({ path: ['repository', key], message: 'is for s3:// repositories; this one is a folder' });
    }
    if (encryption && encryption.sse !== 'none') {
      conflicts.push({
        path: ['repository', 'encryption'],
        message: 'a folder does not encrypt; leave the key off (or sse: none) and put the folder on an encrypted disk',
      });
    }
  } else if (encryption?.kmsKeyId !== undefined && encryption.sse !== 'aws:kms') {
    conflicts.push({ path: ['repository', 'encryption', 'kmsKeyId'], message: 'is for sse: aws:kms only' });
  }
  return [...conflicts, ...halfCertificate(repository, ['repository'])];
}

function instanceConflicts(instance: Block): Conflict[] {
  const conflicts: Conflict[] = [];
  const backup = blockAt(instance, 'backup');
  if (!('url' in instance) && !('managed' in instance)) {
    conflicts.push({
      path: ['url'],
      message: 'is missing; accepted: redis://user@host:6379, rediss://… for TLS, or unix:///path/to/socket',
    });
  }
  if (backup && 'every' in backup && 'cron' in backup) {
    conflicts.push({ path: ['backup', 'cron'], message: 'stands beside `every`; give one of the two' });
  }
  if (instance.dataClass === 'cache' && 'archive' in instance && instance.archive !== false) {
    conflicts.push({
      path: ['archive'],
      message:
        'keeps every write of the last days; a `cache` is filled again from its source (dataClass: cache), so leave it off',
    });
  }
  if ('sentinel' in instance && 'replicas' in instance) {
    conflicts.push({ path: ['replicas'], message: 'stands beside `sentinel`, which names them; give one of the two' });
  }
  if ('tls' in instance && 'url' in instance && schemeOf(instance.url) !== 'rediss') {
    conflicts.push({ path: ['tls'], message: 'is for a url that begins with rediss://' });
  }
  return [...conflicts, ...secretArguments(instance), ...halfCertificate(instance, [])];
}

/** What a process is started with stands in the list of processes for everybody to read. */
function secretArguments(instance: Block): Conflict[] {
  const service = blockAt(blockAt(instance, 'host'), 'service');
  const args = blockAt(service, 'process')?.args;
  if (
    !Array.isArray(args) ||
    !args.some((word) => /^--(requirepass|masterauth|tls-key-file-pass)/i.test(String(word)))
  ) {
    return [];
  }
  return [
    {
      path: ['host', 'service', 'process', 'args'],
      message:
        'hold a password, which every process list would show; put it into a redis.conf and name that file first',
    },
  ];
}

function halfCertificate(block: Block, path: Path): Conflict[] {
  const tls = blockAt(block, 'tls');
  if (!tls || 'cert' in tls === 'key' in tls) return [];
  const there = 'cert' in tls ? 'cert' : 'key';
  return [{ path: [...path, 'tls', there], message: `needs ${there === 'cert' ? 'key' : 'cert'} beside it` }];
}
