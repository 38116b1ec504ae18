/** Keys that are gone and have their beginning in common. */
export interface MissingPattern {
  /** A glob as `--match` takes it, such as `session:*`. Made of the beginning of many keys, never of one. */
  readonly match: string;
  /** Of the sampled keys that it fits. */
  readonly sampled: number;
  readonly missing: number;
}

/** Separators that applications put between the parts of a key's name. */
const SEPARATORS = new Set([...':/.|#-_'].map((each) => each.charCodeAt(0)));
/** Fewer keys have nothing in common, and a beginning of theirs would be a name. */
const FEWEST = 8;
/** Of the sampled keys with a beginning, what share has to be gone: writes since the loss put some back. */
const GONE = 0.9;
const DEPTH = 3;
const PATTERNS = 20;

interface Counted {
  sampled: number;
  missing: number;
}

/**
 * Which beginnings explain what is missing: the shortest ones that are gone as a whole. Empty where the missing keys
 * have none in common.
 */
export function missingPatterns(names: readonly Buffer[], exists: readonly boolean[]): MissingPattern[] {
  const counts = new Map<string, Counted>();
  for (const [index, name] of names.entries()) {
    for (const prefix of prefixesOf(name)) {
      let counted = counts.get(prefix);
      if (!counted) counts.set(prefix, (counted = { sampled: 0, missing: 0 }));
      counted.sampled += 1;
      if (!exists[index]) counted.missing += 1;
    }
  }
  const gone = [...counts].filter(([, { sampled, missing }]) => missing >= FEWEST && missing >= sampled * GONE);
  const shortest = gone
    .filter(([prefix]) => !gone.some(([other]) => other !== prefix && prefix.startsWith(other)))
    .sort(([, a], [, b]) => b.missing - a.missing);
  return shortest
    .slice(0, PATTERNS)
    .map(([prefix, { sampled, missing }]) => ({ match: `${escapeGlob(prefix)}*`, sampled, missing }));
}

/** `session:eu:17` begins with `session:` and `session:eu:`. Names that are no text have none. */
function prefixesOf(name: Buffer): string[] {
  const prefixes: string[] = [];
  for (let at = 0; at < name.length && prefixes.length < DEPTH; at += 1) {
    const byte = name[at]!;
    if (byte < 0x20 || byte > 0x7e) break;
    if (SEPARATORS.has(byte) && at > 0) prefixes.push(name.toString('latin1', 0, at + 1));
  }
  return prefixes;
}

/** What a glob would read as a wildcard is meant as it stands. */
function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]]/g, '\\$&');
}
