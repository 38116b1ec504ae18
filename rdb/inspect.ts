import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { ErrorCode } from '../errors/catalogue.ts';
import { RewindError } from '../errors/rewind-error.ts';
import { siblingScript } from '../process/sibling-script.ts';
import type { InspectOptions, RdbInspection } from './inspection.ts';
import type { RdbFile, RdbSource } from './source.ts';
import { sendChunks } from './thread-chunks.ts';

export type { DatabaseCount, InspectOptions, RdbInspection, SampledKey, SampleOptions } from './inspection.ts';

/** What the caller hands to the thread, and what comes back. */
export interface InspectTask {
  /** A file, or where the chunks of a stream come in. */
  readonly source: RdbFile | { readonly port: MessagePort };
  readonly options: Pick<InspectOptions, 'decode' | 'sample'>;
}
export type InspectMessage =
  | { readonly progress: readonly [bytes: number, total: number] }
  | { readonly done: RdbInspection }
  | { readonly failed: { code: ErrorCode; message: string; details: Readonly<Record<string, unknown>> } }
  | { readonly crashed: unknown };

/**
 * Reads a dump once and finds all that a backup says of it: counts by database and type, CRC-64, SHA-256, and on demand
 * a sample of keys with the digests of their content. Runs in a thread of its own, so that the caller's event loop
 * stays free; memory does not grow with the dump. A stream has to end with the dump; it is read no faster than it is
 * understood, and is left when reading fails.
 *
 * @throws RewindError as `walkRdb`: a count is right or there is none. RDB_TYPE_UNKNOWN and RDB_VERSION_UNKNOWN have
 *   `sizeBytes`, `sha256` and `crc` in their details: such a dump can be stored, only not understood.
 */
export async function inspectRdb(source: RdbSource, options: InspectOptions = {}): Promise<RdbInspection> {
  const { signal, onProgress, decode, sample } = options;
  if (signal?.aborted) throw cancelled();
  const { promise, resolve, reject } = Promise.withResolvers<RdbInspection>();
  const chunks = Symbol.asyncIterator in source ? new MessageChannel() : undefined;
  const task: InspectTask = { source: taskSource(source, chunks), options: { decode, sample } };
  const worker = new Worker(siblingScript(import.meta.url, './inspect-worker'), {
    workerData: task,
    transferList: chunks === undefined ? [] : [chunks.port2],
  });
  const stop = () => reject(cancelled());
  signal?.addEventListener('abort', stop, { once: true });
  worker.on('message', (message: InspectMessage) => {
    if ('progress' in message) onProgress?.(...message.progress);
    else if ('done' in message) resolve(received(message.done));
    else if ('failed' in message) reject(new RewindError(message.failed.code, message.failed.message, message.failed));
    else reject(message.crashed);
  });
  worker.once('error', reject);
  worker.once('exit', (code) => reject(new Error(`the thread that reads the dump ended with ${code}`)));
  if (chunks !== undefined) sendChunks(source as AsyncIterable<Uint8Array>, chunks.port1).catch(reject);
  try {
    return await promise;
  } finally {
    signal?.removeEventListener('abort', stop);
    chunks?.port1.close();
    await worker.terminate();
  }
}

function taskSource(source: RdbSource, chunks: MessageChannel | undefined): InspectTask['source'] {
  if (chunks !== undefined) return { port: chunks.port2 };
  // Only what a file is named by: the caller's object may hold what cannot go to another thread.
  return 'path' in source ? { path: source.path } : { fd: (source as { fd: number }).fd };
}

/** A Buffer arrives from another thread as a plain Uint8Array. */
function received(inspection: RdbInspection): RdbInspection {
  if (inspection.sample === undefined) return inspection;
  return { ...inspection, sample: inspection.sample.map((each) => ({ ...each, key: Buffer.from(each.key) })) };
}

function cancelled(): RewindError {
  return new RewindError('RDB_CANCELLED', 'reading the dump was cancelled');
}
