import { distance } from 'fastest-levenshtein';

/** The one of `candidates` that was probably meant: at most a third of it typed wrong. Undefined where none is near. */
export function nearest(typed: string, candidates: readonly string[]): string | undefined {
  const plain = (text: string) => text.toLowerCase().replace(/[-_ ]/g, '');
  const ranked = candidates
    .map((candidate) => ({ candidate, errors: distance(plain(typed), plain(candidate)) }))
    .filter(({ candidate, errors }) => errors <= Math.max(1, Math.floor(candidate.length / 3)))
    .sort((a, b) => a.errors - b.errors);
  return ranked[0]?.candidate;
}
