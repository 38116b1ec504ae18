import type { RdbMagic } from './magic.ts';
import { openSource, type RdbFile } from './source.ts';
import { RdbWalker } from './walker.ts';

export interface RdbHeader {
  readonly magic: RdbMagic;
  readonly version: number;
  /** AUX fields as the dump has them: redis-ver or valkey-ver, ctime (Unix seconds), used-mem, … */
  readonly aux: Readonly<Record<string, string>>;
}

const headBytes = 4096;

/**
 * Reads what stands before the first key of a dump: its first 4 KiB. What is wrong behind the magic is not its matter.
 *
 * @throws RewindError RDB_NOT_A_DUMP, RDB_VERSION_UNKNOWN, RDB_TRUNCATED, RDB_READ_FAILED
 */
export async function readRdbHeader(file: RdbFile): Promise<RdbHeader> {
  const aux = new Map<string, string>();
  let inHeader = true;
  const walker = new RdbWalker({
    aux: (name, value) => {
      if (inHeader) aux.set(name, value);
    },
    selectDb: () => {
      inHeader = false;
    },
  });
  const opened = await openSource(file);
  try {
    const bytes = await opened.read(walker.room().subarray(0, headBytes));
    walker.advance(bytes);
  } catch (error) {
    if (walker.version === 0) throw error;
  } finally {
    await opened.close();
  }
  if (walker.version === 0) walker.finish();
  return { magic: walker.magic, version: walker.version, aux: Object.fromEntries(aux) };
}
