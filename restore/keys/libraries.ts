import type { Redis } from 'ioredis';
import { RewindError } from '../../errors/rewind-error.ts';
import type { ConflictNames } from './conflict-names.ts';

/**
 * What becomes of the function libraries of the dump and of the live server: added, and a live one of the same name
 * stays; added, and a live one of the same name is replaced; all live ones go first; none is touched.
 */
export type FunctionsMode = 'append' | 'replace' | 'flush' | 'none';

/**
 * Loads a library from its source.
 *
 * @returns false where another library of that name is there and stays
 * @throws RESTORE_FUNCTION_REFUSED
 */
export async function loadLibrary(
  redis: Redis,
  code: Buffer,
  mode: Exclude<FunctionsMode, 'none'>,
  names: ConflictNames,
): Promise<boolean> {
  const name = /\sname=(\S+)/.exec(code.toString('utf8', 0, 1024).split('\n', 1)[0]!)?.[1] ?? '';
  try {
    await redis.call('FUNCTION', 'LOAD', ...(mode === 'append' ? [] : ['REPLACE']), code);
    return true;
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    if (!/^ERR Library '.*' already exists$/.test(words)) {
      const message = `the live server refused the function library ${name}: ${words}`;
      throw new RewindError('RESTORE_FUNCTION_REFUSED', message, { details: { library: name, words } });
    }
  }
  if (await isLoaded(redis, name, code)) return true;
  names.addLibrary(name);
  names.flush();
  return false;
}

/** Whether the live server has this very library: an attempt before may have loaded it. */
async function isLoaded(redis: Redis, name: string, code: Buffer): Promise<boolean> {
  const listed = (await redis.callBuffer('FUNCTION', 'LIST', 'LIBRARYNAME', name, 'WITHCODE')) as unknown[][];
  const fields = listed[0] ?? [];
  for (let i = 0; i + 1 < fields.length; i += 2) {
    if (String(fields[i]) === 'library_code') return (fields[i + 1] as Buffer).equals(code);
  }
  return false;
}
