import { createHash } from 'node:crypto';

/**
 * Sixteen hex digits that stand for a policy: the same in every process that reads the same configuration, whatever the
 * order of keys or the layout of the file. A `digest` field of its own does not count.
 */
export function policyDigest(policy: object): string {
  const { digest: _, ...counted } = policy as { digest?: unknown };
  return createHash('sha256').update(canonical(counted)).digest('hex').slice(0, 16);
}

/** JSON with sorted keys; what is undefined is not there. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item ?? null)).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  // By code unit, not by locale: two machines sort alike.
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`;
}
