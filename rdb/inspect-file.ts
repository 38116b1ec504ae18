import { createHash } from 'node:crypto';
import type { InspectOptions, RdbInspection } from './inspection.ts';
import { RdbInspector } from './inspector.ts';
import type { RdbSource } from './source.ts';
import { walkRdb } from './walk.ts';

/** Reads a dump once, in this thread and without a pause: see `inspectRdb`, which gives it a thread of its own. */
export async function inspectHere(source: RdbSource, options: InspectOptions): Promise<RdbInspection> {
  const sha256 = createHash('sha256');
  const inspector = new RdbInspector(options);
  const walked = await walkRdb(source, inspector, {
    signal: options.signal,
    blocking: true,
    onBytes: (bytes) => sha256.update(bytes),
    onProgress: (bytes, total) => options.onProgress?.(bytes, total ?? bytes),
  });
  const { magic, version, crc, end } = walked;
  return { magic, version, sizeBytes: end, sha256: sha256.digest('hex'), crc, ...inspector.findings() };
}
