import type { RdbFile } from './source.ts';
import { walkRdb } from './walk.ts';

class Enough extends Error {}

/**
 * The AUX fields at a dump's beginning (redis-ver, ctime, used-mem, …) without reading further: what tells one dump from
 * another before it is worth a walk.
 *
 * @throws RewindError as `walkRdb` when the file does not begin as a dump
 */
export async function readLeadingAux(file: RdbFile): Promise<Readonly<Record<string, string>>> {
  const aux: Record<string, string> = {};
  const enough = () => {
    throw new Enough();
  };
  await walkRdb(file, {
    aux: (name, value) => {
      aux[name] = value;
    },
    selectDb: enough,
    functionCode: enough,
    moduleAux: enough,
    key: enough,
  }).catch((error) => {
    if (!(error instanceof Enough)) throw error;
  });
  return aux;
}
