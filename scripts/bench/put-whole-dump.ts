import { rm } from 'node:fs/promises';
import { putKeys } from '../../restore/keys/put-keys.ts';

/** Every key of a dump into a live server, as a restore without limits does it; nothing goes on from an earlier one. */
export async function putWholeDump(dumpPath: string, url: string, namesFile: string): Promise<void> {
  for (const path of [namesFile, `${namesFile}.cursor`]) await rm(path, { force: true });
  await putKeys(
    {
      dumpPath,
      target: { url },
      selection: {},
      ttl: 'keep',
      shiftMs: 0,
      onConflict: 'keep-live',
      functions: 'none',
      namesFile,
      by: 'slices',
      limits: {},
    },
    { signal: new AbortController().signal, onProgress: () => {}, onCursor: () => {} },
  );
}
