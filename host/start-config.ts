import { glob, readFile } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';

/** How a server finds its data and its log when it is started, as far as its configuration decides it. */
export interface StartConfig {
  /** Absolute. */
  readonly dir: string;
  readonly dbfilename: string;
  readonly appendonly: boolean;
  readonly appendfilename: string;
  readonly appenddirname: string;
  readonly appendfsync: 'always' | 'everysec' | 'no';
  /** Absolute; undefined where it logs to its standard output. */
  readonly logfile?: string;
}

/** Deeper than any real one; a file that includes itself ends here. */
const deepestInclude = 10;

/**
 * What a server will start with: its redis.conf with all it includes, then its arguments, the last word winning. Not what
 * CONFIG GET answers: a setting that was made live is gone at the next start.
 *
 * @param from `configFile` as INFO server answers `config_file`, `args` as `host.service.process` has them (the first may be the
 *   path of a redis.conf), `cwd` where it is started
 * @see https://redis.io/docs/latest/operate/oss_and_stack/management/config/
 */
export async function readStartConfig(from: {
  configFile?: string;
  args?: readonly string[];
  cwd?: string;
}): Promise<StartConfig> {
  const cwd = from.cwd ?? '/';
  const [first] = from.args ?? [];
  const file = first !== undefined && !first.startsWith('-') ? first : from.configFile;
  const lines = [...(file ? await linesOf(resolve(cwd, file), cwd, 0) : []), ...linesOfArguments(from.args ?? [])];
  // `dir` is gone to where it stands: a later relative one is meant from there.
  let dir = cwd;
  const last = new Map<string, string>();
  for (const [name = '', value = ''] of lines) {
    if (name.toLowerCase() === 'dir') dir = resolve(dir, value);
    else last.set(name.toLowerCase(), value);
  }
  const logfile = last.get('logfile');
  const appendfsync = last.get('appendfsync')?.toLowerCase();
  return {
    dir,
    dbfilename: last.get('dbfilename') ?? 'dump.rdb',
    appendonly: last.get('appendonly')?.toLowerCase() === 'yes',
    appendfilename: last.get('appendfilename') ?? 'appendonly.aof',
    appenddirname: last.get('appenddirname') ?? 'appendonlydir',
    // Redis' own default for whatever else stands there: it would not start on it.
    appendfsync: appendfsync === 'always' || appendfsync === 'no' ? appendfsync : 'everysec',
    ...(logfile ? { logfile: isAbsolute(logfile) ? logfile : resolve(dir, logfile) } : {}),
  };
}

async function linesOf(path: string, cwd: string, depth: number): Promise<string[][]> {
  if (depth > deepestInclude) return [];
  const found: string[][] = [];
  for (const line of (await readFile(path, 'utf8')).split('\n')) {
    const words = wordsOf(line);
    if (words.length === 0) continue;
    if (words[0]?.toLowerCase() === 'include' && words[1]) found.push(...(await linesIncluded(words[1], cwd, depth)));
    else found.push(words);
  }
  return found;
}

/** A pattern that finds nothing is no error to Redis, and neither here. */
async function linesIncluded(pattern: string, cwd: string, depth: number): Promise<string[][]> {
  const paths: string[] = [];
  for await (const path of glob(resolve(cwd, pattern))) paths.push(path);
  const found: string[][] = [];
  for (const path of paths.sort()) found.push(...(await linesOf(path, cwd, depth + 1)));
  return found;
}

/** `--name value …`, where the next `--` begins another one. */
function linesOfArguments(args: readonly string[]): string[][] {
  const lines: string[][] = [];
  for (const word of args) {
    if (word.startsWith('--') && word.length > 2) lines.push([word.slice(2)]);
    else lines.at(-1)?.push(word);
  }
  return lines;
}

/** As sdssplitargs() cuts a line: words, of which some stand in quotes. */
function wordsOf(line: string): string[] {
  const text = line.trim();
  if (text === '' || text.startsWith('#')) return [];
  const words = text.match(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\')*'|\S+/g) ?? [];
  return words.map((word) => {
    if (word.startsWith('"')) return word.slice(1, -1).replace(/\\(.)/g, '$1');
    return word.startsWith("'") ? word.slice(1, -1).replace(/\\'/g, "'") : word;
  });
}
