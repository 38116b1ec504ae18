import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { RewindError } from '../errors/rewind-error.ts';

/** A server program that dumps can be loaded with. */
export interface SandboxServer {
  readonly path: string;
  readonly name: 'redis' | 'valkey';
  /** `major.minor.patch` */
  readonly version: string;
}

/**
 * Asks each program for its version.
 *
 * @throws SANDBOX_NO_SERVER when none of them answers
 */
export async function findServers(paths: readonly string[]): Promise<SandboxServer[]> {
  const found = await Promise.all(paths.map((path) => probeServer(path).catch(() => undefined)));
  const servers = found.filter((server) => server !== undefined);
  if (servers.length === 0) {
    throw new RewindError(
      'SANDBOX_NO_SERVER',
      `No server program answers to --version: ${paths.join(', ') || 'none named'}.`,
    );
  }
  return servers;
}

async function probeServer(path: string): Promise<SandboxServer | undefined> {
  const { stdout } = await promisify(execFile)(path, ['--version'], { timeout: 10_000 });
  const version = /v=(\d+\.\d+\.\d+)/.exec(stdout)?.[1];
  return version ? { path, name: /valkey/i.test(stdout) ? 'valkey' : 'redis', version } : undefined;
}

/** What of a dump decides which servers may load it. */
export interface DumpOrigin {
  readonly serverName: 'redis' | 'valkey';
  /** Absent in dumps of servers before 3.2. */
  readonly serverVersion?: string;
}

/**
 * The oldest server that is at least as new as the one that wrote the dump, of the same fork: dumps load upward only,
 * and Redis 8 and Valkey 9 refuse each other's.
 */
export function chooseServer(servers: readonly SandboxServer[], dump: DumpOrigin): SandboxServer | undefined {
  return servers
    .filter(
      (server) => server.name === dump.serverName && compareMinor(server.version, dump.serverVersion ?? '0.0') >= 0,
    )
    .sort((a, b) => compareMinor(a.version, b.version))[0];
}

/**
 * As `chooseServer`, for who cannot go on without one.
 *
 * @throws SANDBOX_NO_SERVER naming what is needed
 */
export function serverFor(
  servers: readonly SandboxServer[],
  { server }: { readonly server: { readonly name: 'redis' | 'valkey'; readonly version: string } },
): SandboxServer {
  const found = chooseServer(servers, { serverName: server.name, serverVersion: server.version });
  if (found) return found;
  const wanted = `${server.name} ${server.version} or newer`;
  throw new RewindError('SANDBOX_NO_SERVER', `The sandbox has no server that loads this dump: it needs ${wanted}.`);
}

/** Patch releases never change the dump's format, so `major.minor` decides. */
function compareMinor(a: string, b: string): number {
  const [majorA = 0, minorA = 0] = a.split('.').map(Number);
  const [majorB = 0, minorB = 0] = b.split('.').map(Number);
  return majorA - majorB || minorA - minorB;
}
