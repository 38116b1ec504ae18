import { sha256 } from './sha256.ts';

/**
 * Sixteen hex digits that stand for what is shown at a gate: an approval is bound to them. The same plan gives the same
 * digest whatever the order of its keys; what JSON does not carry (undefined, functions) does not count.
 */
export function planDigest(plan: unknown): string {
  const json = JSON.stringify(plan, (_key, value) => (typeof value === 'bigint' ? value.toString() : value)) ?? 'null';
  return sha256(canonical(JSON.parse(json))).slice(0, 16);
}

/** JSON with sorted keys. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const entries = Object.entries(value);
  // By code unit, not by locale: two machines sort alike.
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`;
}
