import { readFile, stat } from 'node:fs/promises';
import { dirname, isAbsolute, relative, resolve } from 'node:path';
import { RewindError } from '../errors/rewind-error.ts';
import { stateFolder } from '../process/state-folder.ts';
import type { Config } from './config.ts';
import { crossChecks } from './cross-checks.ts';
import { sayNotInForce } from './not-in-force.ts';
import { problemsOf } from './problems.ts';
import { resolveConfig } from './resolve.ts';
import { configSchema } from './schema.ts';
import { type Path, type Problem, parseYaml } from './yaml-source.ts';

/** The configuration and where it came from. Holds no secret. */
export interface LoadedConfig extends Config {
  /** `defaults`: no file was there; no instance is configured. */
  readonly source: 'file' | 'defaults';
  /** Absolute path of the file. */
  readonly path?: string;
  /** Sentences for `plan`, `check` and every start. */
  readonly notInForce: readonly string[];
}

/** A configuration is a page or two; what is larger is another file. */
const MAX_BYTES = 1024 * 1024;

/**
 * Loads `path` (--config), else REWIND_CONFIG, else ./rewind.yaml, else the embedded defaults.
 *
 * @throws CONFIG_NOT_FOUND, CONFIG_INVALID: all problems of the file, a line each, "rewind.yaml:12:5: unknown key …"
 */
export async function loadConfig(from: { path?: string; env: NodeJS.ProcessEnv; cwd: string }): Promise<LoadedConfig> {
  const asked = from.path ?? (from.env.REWIND_CONFIG || undefined);
  const path = resolve(from.cwd, asked ?? 'rewind.yaml');
  const text = await readSource(path, asked !== undefined);
  const file = { name: nameFor(path, from.cwd), folder: dirname(path), home: stateFolder(from.env, from.cwd) };
  if (text === undefined) return { ...parseConfig('', file), source: 'defaults' };
  return { ...parseConfig(text, file), source: 'file', path };
}

/** Checks and resolves the text of a configuration. `name` is what messages call the file. */
export function parseConfig(
  text: string,
  file: { name: string; folder: string; home: string },
): Config & { notInForce: readonly string[] } {
  const source = parseYaml(text);
  if (source.problems.length > 0) throw invalid(file.name, source.problems);
  const written = source.value ?? {};
  const parsed = configSchema.safeParse(written);
  const problems = [
    ...problemsOf(parsed.error?.issues ?? [], source),
    ...crossChecks(written).map(({ path, message }) => ({
      ...source.valueAt(path),
      sentence: `${path.join('.')}: ${message}`,
    })),
  ];
  if (problems.length > 0 || !parsed.success) throw invalid(file.name, problems);
  const describe = (path: Path) => {
    const { line, column } = source.valueAt(path);
    return `${file.name}:${line}:${column}: ${path.join('.')}`;
  };
  return { ...resolveConfig(parsed.data, { ...file, describe }), notInForce: sayNotInForce(written) };
}

function invalid(name: string, problems: readonly Problem[]): RewindError {
  const lines = [...problems]
    .sort((a, b) => a.line - b.line || a.column - b.column)
    .map(({ line, column, sentence }) => `${name}:${line}:${column}: ${sentence}`);
  return new RewindError('CONFIG_INVALID', lines.join('\n'), { details: { problems: lines } });
}

/** Undefined where nobody asked for a file and none is there. */
async function readSource(path: string, asked: boolean): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    if (size > MAX_BYTES) {
      throw new RewindError('CONFIG_NOT_FOUND', `${path} has ${size} bytes; a configuration has ${MAX_BYTES} at most.`);
    }
    return await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof RewindError) throw error;
    if (code === 'ENOENT' && !asked) return undefined;
    throw new RewindError(
      'CONFIG_NOT_FOUND',
      `${path} ${code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`}.`,
    );
  }
}

/** As a person in `cwd` would type it. */
function nameFor(path: string, cwd: string): string {
  const near = relative(cwd, path);
  return near.startsWith('..') || isAbsolute(near) ? path : near;
}
