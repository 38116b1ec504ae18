import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface BootstrapRun {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<{
    code: number | null;
    parts: Record<string, { path?: string; unavailable?: string }>;
    said: string;
  }>;
}

/** A bootstrap of its own process for some parts, with a cache of its own and whatever else of the environment is to differ. */
export function runBootstrap(parts: string[], cache: string, env: NodeJS.ProcessEnv = {}): BootstrapRun {
  const ensureParts = fileURLToPath(new URL('../../scripts/bootstrap/ensure-parts.mjs', import.meta.url));
  const script = `
    import { ensureParts } from ${JSON.stringify(ensureParts)};
    process.stdout.write(JSON.stringify(await ensureParts(${JSON.stringify(parts)})));`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    env: { ...process.env, XDG_CACHE_HOME: cache, ...env },
  });
  child.stdin.end();
  let [stdout, said] = ['', ''];
  child.stdout.on('data', (text) => (stdout += text));
  child.stderr.on('data', (text) => (said += text));
  const ended = once(child, 'close').then(([code]) => ({ code, parts: stdout === '' ? {} : JSON.parse(stdout), said }));
  return { child, ended };
}

/** What lies in a cache folder, without its locks. */
export function cacheEntries(cache: string): string[] {
  const folder = join(cache, 'redis-rewind');
  return existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name !== 'locks')
        .sort()
    : [];
}
