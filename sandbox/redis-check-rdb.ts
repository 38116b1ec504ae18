import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Check } from './check.ts';
import type { SandboxServer } from './servers.ts';

/**
 * Has the server's own checker walk the dump. The program is redis-server under another name, so where it is not beside
 * the server the server itself is called by that name.
 *
 * It passes trailing garbage and says nothing of content: one check among others.
 */
export async function redisCheckRdb(server: SandboxServer, dumpPath: string, signal: AbortSignal): Promise<Check> {
  const name = `${server.name}-check-rdb`;
  const beside = [dirname(server.path), dirname(realpathSync(server.path))].map((folder) => join(folder, name));
  const program = beside.find((path) => existsSync(path)) ?? server.path;
  const { code, output } = await runAs(name, program, dumpPath, signal);
  signal.throwIfAborted();
  if (code === 0) return { name: 'redis-check-rdb', result: 'ok', detail: `${name} ${server.version} passes it` };
  if (/Can't handle RDB format version/i.test(output)) {
    return {
      name: 'redis-check-rdb',
      result: 'not-possible',
      detail: `${name} ${server.version} is too old for this dump`,
    };
  }
  const offset = /\[offset (\d+)\] (?:Unexpected|Invalid|Wrong|.*(?:CRC|error))/i.exec(output)?.[1];
  return {
    name: 'redis-check-rdb',
    result: 'contradicted',
    detail: `${name} ${server.version} ends with ${code}${offset ? ` at byte ${offset}` : ''}`,
  };
}

/** Enough of the end of what the checker prints to find the offset of the damage. */
const TAIL = 4_096;

function runAs(name: string, program: string, dumpPath: string, signal: AbortSignal) {
  return new Promise<{ code: number | string; output: string }>((resolve, reject) => {
    const child = spawn(program, [dumpPath], { argv0: name, signal, stdio: ['ignore', 'pipe', 'ignore'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString('latin1')).slice(-TAIL);
    });
    child.once('error', reject);
    child.once('close', (code, killedBy) => resolve({ code: code ?? killedBy ?? 'unknown', output }));
  });
}
