import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { foundPart, foundParts } from '../../process/found-parts.ts';
import { findOnPath } from '../../process/program-path.ts';

/** Another program that does the same work. */
export interface Peer {
  readonly name: string;
  readonly path: string;
}

const versionArgs: Readonly<Record<string, string[]>> = {
  aws: ['--version'],
  s5cmd: ['version'],
  'wal-g': ['--version'],
  'redis-check-rdb': ['--version'],
};

/** A peer as it is on this machine, its name with its version; or the sentence that says why it is skipped. */
export async function findPeer(program: keyof typeof versionArgs): Promise<Peer | string> {
  const path = findOnPath(program, process.env.PATH) ?? besideParts(program);
  if (path === undefined) return `${program}: skipped, it is not on PATH`;
  const { stdout } = await promisify(execFile)(path, versionArgs[program]);
  const version = /v?\d+\.\d+\.[\w.-]+/.exec(stdout)?.[0];
  return { name: version === undefined ? program : `${program} ${version}`, path };
}

/** What the bootstrap fetched serves, too. */
function besideParts(program: string): string | undefined {
  const part = foundParts()[program];
  if (part !== undefined && 'path' in part) return part.path;
  const beside = join(dirname(foundPart('redis').path), program);
  return existsSync(beside) ? beside : undefined;
}

/**
 * Runs a peer to its end. Its environment is this process' own and `env`; a person's settings for it are left out.
 *
 * @throws Error with the last it printed, when it ends with another code than 0
 */
export function runPeer({ name, path }: Peer, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, {
      env: { ...process.env, AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let printed = '';
    const keep = (chunk: Buffer) => {
      printed = (printed + chunk.toString()).slice(-2_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`${name} ended with ${code}: ${printed}`)),
    );
  });
}
