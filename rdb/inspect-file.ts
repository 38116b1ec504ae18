import { createHash } from 'node:crypto';
import { RewindError } from '../errors/rewind-error.ts';
import type { InspectOptions, RdbInspection } from './inspection.ts';
import { RdbInspector } from './inspector.ts';
import type { RdbSource } from './source.ts';
import { isUnknown, walkRdb } from './walk.ts';

/** Reads a dump once, in this process, files without a pause: see `inspectRdb`, which gives it a process of its own. */
export async function inspectHere(source: RdbSource, options: InspectOptions): Promise<RdbInspection> {
  const sha256 = createHash('sha256');
  const inspector = new RdbInspector(options);
  let sizeBytes = 0;
  try {
    const { magic, version, crc } = await walkRdb(source, inspector, {
      signal: options.signal,
      blocking: true,
      onBytes: (bytes) => {
        sha256.update(bytes);
        sizeBytes += bytes.length;
      },
      onProgress: (bytes, total) => options.onProgress?.(bytes, total ?? bytes),
    });
    return { magic, version, sizeBytes, sha256: sha256.digest('hex'), crc, ...inspector.findings() };
  } catch (error) {
    // What is only not known can still be stored: say what of.
    if (!isUnknown(error)) throw error;
    const details = { ...error.details, sizeBytes, sha256: sha256.digest('hex') };
    throw new RewindError(error.code, error.message, { details });
  }
}
