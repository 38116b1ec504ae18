import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

/** What the tests read of docker-compose.yml, as Compose hands it to a container: merged, and with the defaults filled in. */
export interface ComposeService {
  readonly image: string;
  readonly build?: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly secrets?: readonly string[];
  readonly configs?: readonly { readonly source: string; readonly target: string }[];
  readonly volumes?: readonly string[];
  readonly networks?: readonly string[];
  readonly ports?: readonly string[];
  readonly user?: string;
  readonly restart?: string;
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
}

export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly configs: Readonly<Record<string, { readonly file: string }>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean } | null>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

/** Absolute path of a file of the checkout. */
export const inCheckout = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

export const readText = (path: string): string => readFileSync(inCheckout(path), 'utf8');

export function readCompose(): ComposeFile {
  return parse(interpolate(readText('docker-compose.yml')), { merge: true });
}

/** `${NAME:-default}` as without an environment, `$$` as one `$`. */
function interpolate(text: string): string {
  return text.replace(/\$(?:\$|\{\w+:-([^}]*)\})/g, (match, byDefault: string | undefined) =>
    match === '$$' ? '$' : (byDefault as string),
  );
}

/** What the image itself says of how it is run. */
export function readImage(): { entrypoint: string[]; env: Record<string, string>; user: string } {
  const lines = readText('Dockerfile').replaceAll('\\\n', ' ').split('\n');
  const last = (instruction: string) =>
    lines
      .filter((line) => line.startsWith(`${instruction} `))
      .at(-1)
      ?.slice(instruction.length + 1) ?? '';
  const env = last('ENV').trim().split(/\s+/);
  return {
    entrypoint: JSON.parse(last('ENTRYPOINT')),
    env: Object.fromEntries(env.map((pair) => pair.split('=') as [string, string])),
    user: last('USER'),
  };
}

/** The first code block after `<!-- run: NAME -->` of a page: what a reader is told to type. */
export function codeBlock(page: string, name: string): string {
  const block = new RegExp(`<!-- run: ${name} -->\\n\`\`\`\\w*\\n(.*?)\`\`\``, 's').exec(readText(page))?.[1];
  if (block === undefined) throw new Error(`${page} has no block that is marked run: ${name}`);
  return block;
}
