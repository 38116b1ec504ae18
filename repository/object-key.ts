import { RewindError } from '../errors/rewind-error.ts';

/** No part empty, `.`, `..` or hidden: hidden names are a file repository's own half-made files. */
const PART = /^[A-Za-z0-9_][A-Za-z0-9._=-]*$/;
const LONGEST = 512;

/**
 * Names reach paths and requests, and some come from the outside (an id typed by a person, a name read back).
 *
 * @throws REPOSITORY_NAME_INVALID
 */
export function assertKey(key: string): void {
  if (key.length > LONGEST || !key.split('/').every((part) => PART.test(part))) throw invalid(key);
}

/** A prefix of keys: as a key, or with its last part unfinished or empty. @throws REPOSITORY_NAME_INVALID */
export function assertPrefix(prefix: string): void {
  const parts = prefix.split('/');
  const last = parts.pop() as string;
  const wellFormed = parts.every((part) => PART.test(part)) && (last === '' || PART.test(last));
  if (prefix.length > LONGEST || !wellFormed) throw invalid(prefix);
}

function invalid(key: string): RewindError {
  return new RewindError('REPOSITORY_NAME_INVALID', `${JSON.stringify(key.slice(0, 200))} is no name in a repository.`);
}
