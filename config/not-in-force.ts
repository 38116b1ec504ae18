import type { Path } from './yaml-source.ts';

/**
 * Keys that are known, checked and kept, but that nothing acts on in this version. The one list: messages, JSON Schema and
 * documentation read it. `*` stands for any name.
 */
export const NOT_IN_FORCE: readonly string[] = ['instances.*.retention', 'instances.*.drill', 'instances.*.managed'];

/** True of a key path ("instances.*.drill.every") that stands in the list or under one that does. */
export function isInForce(path: string): boolean {
  return !NOT_IN_FORCE.some((listed) => path === listed || path.startsWith(`${listed}.`));
}

/** A sentence for each key of the file that is not in force: `not in force in this version: instances.orders.drill`. */
export function sayNotInForce(file: unknown): string[] {
  return NOT_IN_FORCE.flatMap((listed) => findPaths(file, listed.split('.'))).map(
    (path) => `not in force in this version: ${path.join('.')}`,
  );
}

function findPaths(value: unknown, pattern: readonly string[], above: Path = []): Path[] {
  const [key, ...rest] = pattern;
  if (key === undefined) return [above];
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([name, child]) =>
    key === '*' || key === name ? findPaths(child, rest, [...above, name]) : [],
  );
}
