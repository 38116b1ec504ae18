import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';
import { foundPart } from '../../process/found-parts.ts';
import type { Deployment } from './deployment.ts';

const cli = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

/** Every line of a page's shell blocks, in its order. @param page below docs/, without its ending */
export function commandsOf(page: string): string[] {
  const text = readFileSync(new URL(`../../docs/${page}.md`, import.meta.url), 'utf8');
  return [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) => block.trim().split('\n'));
}

export type TypeLine = (line: string) => Promise<{ code: number; output: string }>;

/** Types lines as the pages have them: in a shell where `npx rewind` and `temporal` are those of this checkout. */
export function shellFor(deployment: Deployment, more: NodeJS.ProcessEnv = {}): TypeLine {
  const { address } = inject('temporal');
  const env = {
    ...more,
    PATH: `${dirname(foundPart('temporal').path)}:${process.env.PATH}`,
    HOME: dirname(deployment.configPath),
    REWIND_CONFIG: deployment.configPath,
    REWIND_HOME: join(dirname(deployment.configPath), 'machine-of-operator'),
    TEMPORAL_ADDRESS: address,
    TEMPORAL_NAMESPACE: deployment.client.options.namespace,
  };
  const npx = `npx() { shift; '${process.execPath}' '${cli}' "$@"; }`;
  return (line) =>
    new Promise((resolve) => {
      execFile('sh', ['-c', `${npx}\n${line}`], { env, timeout: 150_000 }, (error, stdout, stderr) =>
        resolve({ code: error ? Number(error.code ?? 1) : 0, output: stdout + stderr }),
      );
    });
}
