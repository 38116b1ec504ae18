import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, type Node, parseAllDocuments } from 'yaml';

/** Keys and indexes from the root of the file. */
export type Path = readonly (string | number)[];

/** Both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** Something wrong in the file, and where. */
export interface Problem extends Position {
  /** One sentence without the file's name. It never quotes the file: a secret may stand there by mistake. */
  readonly sentence: string;
}

export interface YamlSource {
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** Where a value stands; of a missing one, the nearest block around it. */
  valueAt(path: Path): Position;
  /** Where the key of a value stands. */
  keyAt(path: Path): Position;
}

/** Far beyond what a configuration needs; what is beyond it is an attack or a wrong file. */
const LIMITS = { values: 20_000, depth: 24 };

/** What the parser's codes mean to a person. Its own messages quote the source, so they are not passed on. */
const SYNTAX: Record<string, string> = {
  TAB_AS_INDENT: 'a tab in the indentation; YAML is indented with spaces',
  BAD_INDENT: 'the indentation fits no block around it',
  BAD_SCALAR_START: 'a text that begins with a reserved character; put it in quotes',
  BAD_DQ_ESCAPE: 'an unknown escape in double quotes; use single quotes or \\\\',
  BAD_ALIAS: 'an empty or misplaced alias; a text that begins with * needs quotes',
  BLOCK_AS_IMPLICIT_KEY:
    'a block where one value belongs; is there a second colon on the line, or a wrong indentation?',
  MULTILINE_IMPLICIT_KEY: 'a key over several lines; is a colon missing, or the space after one?',
  MISSING_CHAR: 'a bracket, quote or colon is missing',
  MULTIPLE_DOCS: 'a second document (---); one file holds one',
  TAG_RESOLVE_FAILED: 'a tag (!); a text that begins with ! needs quotes',
  NON_STRING_KEY: 'a key that is no text',
};

/**
 * Reads YAML 1.2 into plain values and remembers where each stood. Aliases are followed, within bounds.
 * All problems of the file are returned, none is thrown.
 */
export function parseYaml(text: string): YamlSource {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: 'silent',
  });
  const problems: Problem[] = [];
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const complain = (offset: number, sentence: string) => problems.push({ ...at(offset), sentence });
  const [document, second] = 'empty' in documents ? [] : documents;
  for (const { code, pos } of [...(document?.errors ?? []), ...(document?.warnings ?? [])]) {
    complain(pos[0], SYNTAX[code] ?? 'no YAML; is a quote, a bracket or a colon missing before this place?');
  }
  if (second) complain(second.range[0], SYNTAX.MULTIPLE_DOCS!);
  const places = new Map<string, Place>();
  const value =
    problems.length === 0 && document?.contents ? new Reader(places, at, complain).read(document.contents) : undefined;
  const nearestPlace = (path: Path, of: 'key' | 'value') => {
    const exact = places.get(placeOf(path));
    if (exact) return at(exact[of]);
    for (let length = path.length - 1; length >= 0; length -= 1) {
      const around = places.get(placeOf(path.slice(0, length)));
      if (around) return at(around.key);
    }
    return { line: 1, column: 1 };
  };
  return {
    value,
    problems,
    valueAt: (path) => nearestPlace(path, 'value'),
    keyAt: (path) => nearestPlace(path, 'key'),
  };
}

/** Offsets of a key and of its value. */
interface Place {
  readonly key: number;
  readonly value: number;
}

const placeOf = (path: Path) => JSON.stringify(path.map(String));

/** Turns nodes into plain values, noting where each stands. */
class Reader {
  #values = 0;
  readonly #open = new Set<Node>();
  readonly #anchors = new Map<string, Node>();
  readonly #places: Map<string, Place>;
  readonly #at: (offset: number) => Position;
  readonly #complain: (offset: number, sentence: string) => void;

  constructor(
    places: Map<string, Place>,
    at: (offset: number) => Position,
    complain: (offset: number, sentence: string) => void,
  ) {
    this.#places = places;
    this.#at = at;
    this.#complain = complain;
  }

  read(root: Node): unknown {
    return this.#value(root, [], startOf(root));
  }

  #value(node: Node, path: Path, keyOffset: number): unknown {
    const offset = startOf(node);
    if (this.#values > LIMITS.values) return undefined;
    if ((this.#values += 1) > LIMITS.values || path.length > LIMITS.depth) {
      this.#values = Number.POSITIVE_INFINITY;
      this.#complain(
        offset,
        `more than a configuration can hold (${LIMITS.values} values, ${LIMITS.depth} levels, aliases followed)`,
      );
      return undefined;
    }
    this.#places.set(placeOf(path), { key: keyOffset, value: offset });
    if (isAlias(node)) return this.#alias(node.source, path, keyOffset, offset);
    if ('anchor' in node && node.anchor) this.#anchors.set(node.anchor, node);
    if (isScalar(node)) return node.value;
    this.#open.add(node);
    const value = isMap(node) ? this.#map(node.items, path) : isSeq(node) ? this.#list(node.items, path) : undefined;
    this.#open.delete(node);
    return value;
  }

  #alias(name: string, path: Path, keyOffset: number, offset: number): unknown {
    const target = this.#anchors.get(name);
    if (target && !this.#open.has(target)) {
      const value = this.#value(target, path, keyOffset);
      this.#places.set(placeOf(path), { key: keyOffset, value: offset });
      return value;
    }
    this.#complain(offset, 'an alias without an anchor before it; a text that begins with * needs quotes');
    return undefined;
  }

  #list(items: readonly unknown[], path: Path): unknown[] {
    return items.map((item, index) => {
      const node = (isPair(item) ? item.value : item) as Node;
      return this.#value(node, [...path, index], startOf(node));
    });
  }

  #map(items: readonly { key: unknown; value: unknown }[], path: Path): Record<string, unknown> {
    const entries = new Map<string, unknown>();
    for (const { key, value } of items) {
      const offset = startOf(key as Node);
      if (!isScalar(key)) {
        this.#complain(offset, 'a key that is no text');
        continue;
      }
      const name = key.source ?? String(key.value);
      if (entries.has(name)) {
        const first = this.#places.get(placeOf([...path, name]))?.key ?? 0;
        this.#complain(
          offset,
          `key ${[...path, name].join('.')} stands twice; the first is in line ${this.#at(first).line}`,
        );
        continue;
      }
      const node = value as Node | null;
      entries.set(name, node === null ? null : this.#value(node, [...path, name], offset));
      // What is not written has no place of its own.
      if (!node?.range || node.range[0] === node.range[1]) {
        this.#places.set(placeOf([...path, name]), { key: offset, value: offset });
      }
    }
    // Entries, not assignments: `__proto__` is a key like any other here, and an unknown one.
    return Object.fromEntries(entries);
  }
}

/** Offset of a node's first character. */
const startOf = (node: Node): number => node.range?.[0] ?? 0;
