import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { SandboxServer } from '../../sandbox/servers.ts';

const timeoutMs = 600_000;
const tailBytes = 16 * 1024;

/**
 * What the server's own checker says of a file, in one line. Nothing of the file's content comes with it: what stands in
 * quotes or behind "got" is left out. The checker for append-only files passes commands that no server has. Its `--fix`
 * is never used.
 *
 * @returns undefined where there is no checker or it does not end in time
 */
export async function serverChecker(
  server: SandboxServer,
  kind: 'rdb' | 'aof',
  path: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const name = `${server.name}-check-${kind}`;
  const folders = [dirname(server.path), dirname(realpathSync(server.path))];
  const program = folders.map((folder) => join(folder, name)).find((each) => existsSync(each)) ?? server.path;
  const ended = await runAs(name, program, path, signal).catch(() => undefined);
  signal.throwIfAborted();
  if (ended === undefined) return undefined;
  const verdict = ended.code === 0 ? 'finds nothing' : `ends with ${ended.code}`;
  const words = ended.code === 0 ? '' : said(ended.output);
  return `${name} ${server.version} ${verdict}${words === '' ? '' : `: ${words}`}`;
}

const telling =
  /error|unexpected|expected|invalid|wrong|crc|checksum|corrupt|not valid|ok_up_to|short|unknown|duplicate/i;

/** The last lines that tell something, without what the file holds. */
function said(output: string): string {
  return output
    .split('\n')
    .filter((line) => telling.test(line) && !/\[additional info\]|key '|Reading key/i.test(line))
    .map((line) =>
      line
        .replace(/got:.*$/i, 'got something else')
        .replace(/"[^"]*"|'[^']*'/g, '‹…›')
        .replace(/filename=[^,]*, ?/, '')
        .replace(/(?:AOF|File|file) \/\S+/g, 'the file')
        .replace(/[^\x20-\x7e‹…›]/g, '?')
        .trim(),
    )
    .slice(-3)
    .join('; ')
    .slice(0, 500);
}

function runAs(name: string, program: string, path: string, signal: AbortSignal) {
  return new Promise<{ code: number | string; output: string }>((resolve, reject) => {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const child = spawn(program, [path], { argv0: name, signal: limited, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const take = (chunk: Buffer) => {
      output = (output + chunk.toString('latin1')).slice(-tailBytes);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.once('error', reject);
    child.once('close', (code, killedBy) => resolve({ code: code ?? killedBy ?? 'unknown', output }));
  });
}
