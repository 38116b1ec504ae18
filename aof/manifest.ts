import { RewindError } from '../errors/rewind-error.ts';

/** One file of a multi-part append-only directory: a line of its manifest. */
export interface AofFile {
  /** Inside of the append-only directory; never a path. */
  readonly name: string;
  readonly seq: number;
  /** `history`: replaced by a rewrite and about to be deleted; a server does not load it. */
  readonly type: 'base' | 'incr' | 'history';
  /** Fields that this reader does not know, as they stand: `startoffset 12`. */
  readonly more?: readonly (readonly [string, string])[];
}

/** What `<appendfilename>.manifest` says: the files that make up the data, each in its order. */
export interface AofManifest {
  readonly base?: AofFile;
  readonly incrs: readonly AofFile[];
  readonly history: readonly AofFile[];
}

const typeOfLetter = { b: 'base', i: 'incr', h: 'history' } as const;
const letterOfType = { base: 'b', incr: 'i', history: 'h' } as const;
/** aof.c: MANIFEST_MAX_LINE. */
const longestLine = 1024;
/** A server keeps some few; a directory of a damaged disk must not fill the memory. */
const mostFiles = 100_000;

/**
 * Reads the manifest of a multi-part append-only file (Redis 7.0 and newer; aof.c, aofLoadManifestFromFile), with the
 * server's own strictness: it refuses to start where this throws.
 *
 * @throws RewindError AOF_MANIFEST_INVALID with `details.line` (from 1) and `details.offset`
 */
export function parseAofManifest(bytes: Uint8Array): AofManifest {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  let base: AofFile | undefined;
  const incrs: AofFile[] = [];
  const history: AofFile[] = [];
  let offset = 0;
  const lines = text.split('\n');
  const unended = lines.pop();
  const invalid = (line: number, what: string) =>
    new RewindError('AOF_MANIFEST_INVALID', `line ${line} of the manifest (byte ${offset}): ${what}`, {
      details: { line, offset },
    });
  for (const [index, line] of lines.entries()) {
    const number = index + 1;
    if (line.length + 1 > longestLine) throw invalid(number, `it is longer than ${longestLine} bytes`);
    if (!line.startsWith('#')) {
      const file = parseLine(line.replace(/\r$/, ''));
      if (typeof file === 'string') throw invalid(number, file);
      if (file.type === 'base') {
        if (base !== undefined) throw invalid(number, 'it names a second base');
        base = file;
      } else if (file.type === 'incr') {
        if ((incrs.at(-1)?.seq ?? 0) >= file.seq)
          throw invalid(number, 'the incrs are not in the order of their numbers');
        incrs.push(file);
      } else history.push(file);
      if (incrs.length + history.length > mostFiles) throw invalid(number, 'it names too many files');
    }
    offset += line.length + 1;
  }
  if (unended) throw invalid(lines.length + 1, 'it does not end with a line feed');
  if (lines.length === 0) throw invalid(1, 'the manifest is empty');
  return { ...(base === undefined ? {} : { base }), incrs, history };
}

/** The file as a server writes it: base, history, incrs (aof.c, getAofManifestAsString). */
export function formatAofManifest({ base, incrs, history }: AofManifest): string {
  return [...(base === undefined ? [] : [base]), ...history, ...incrs].map((file) => `${formatLine(file)}\n`).join('');
}

function formatLine({ name, seq, type, more }: AofFile): string {
  const extra = (more ?? []).map(([key, value]) => ` ${key} ${quoted(value)}`).join('');
  return `file ${quoted(name)} seq ${seq} type ${letterOfType[type]}${extra}`;
}

/** The file, or a sentence on what is wrong. */
function parseLine(line: string): AofFile | string {
  const words = splitWords(line);
  if (words === undefined) return 'its quotes do not close';
  if (words.length < 6 || words.length % 2 !== 0) return 'it is no list of names and values';
  let name: string | undefined;
  let seq: number | undefined;
  let type: AofFile['type'] | undefined;
  const more: [string, string][] = [];
  for (let i = 0; i < words.length; i += 2) {
    const value = words[i + 1] as string;
    const field = (words[i] as string).toLowerCase();
    if (field === 'file') {
      if (value === '' || value === '.' || value === '..' || /[/\0]/.test(value)) return 'its file is no plain name';
      name = Buffer.from(value, 'latin1').toString('utf8');
    } else if (field === 'seq') {
      if (!/^\d{1,15}$/.test(value) || Number(value) === 0) return 'its number is none';
      seq = Number(value);
    } else if (field === 'type') {
      type = Object.hasOwn(typeOfLetter, value) ? typeOfLetter[value as keyof typeof typeOfLetter] : undefined;
      if (type === undefined) return 'its type is none of b, i and h';
    } else more.push([words[i] as string, value]);
  }
  if (name === undefined || seq === undefined || type === undefined) return 'a file, a number or a type is missing';
  return { name, seq, type, ...(more.length === 0 ? {} : { more }) };
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' };

/** Words as sds.c's sdssplitargs takes them apart; undefined where a quote does not close as it wants it. */
function splitWords(line: string): string[] | undefined {
  const words: string[] = [];
  const word = /\s*(?:"((?:[^"\\]|\\[\s\S])*)"(?=\s|$)|'((?:[^'\\]|\\'|\\)*)'(?=\s|$)|([^\s"']+)(?=\s|$))\s*/y;
  while (word.lastIndex < line.length) {
    const at = word.lastIndex;
    const match = word.exec(line);
    if (match === null || word.lastIndex === at) return undefined;
    const [, double, single, plain] = match;
    if (double !== undefined) {
      words.push(
        double.replace(/\\(?:x([0-9a-fA-F]{2})|([\s\S]))/g, (_all, hex: string | undefined, letter: string) =>
          hex === undefined ? (escapes[letter] ?? letter) : String.fromCharCode(Number.parseInt(hex, 16)),
        ),
      );
    } else if (single !== undefined) words.push(single.replaceAll("\\'", "'"));
    else words.push(plain as string);
  }
  return words;
}

/** As sds.c's sdscatrepr: in quotes only where a server would put them. */
function quoted(text: string): string {
  const bytes = Buffer.from(text, 'utf8').toString('latin1');
  if (/^[\x21-\x7e]+$/.test(bytes) && !/["'\\]/.test(bytes)) return bytes;
  const names: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\b': '\\b', '\x07': '\\a' };
  const escaped = bytes.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, (character) => {
    if (character === '"' || character === '\\') return `\\${character}`;
    return names[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
  return `"${escaped}"`;
}
