import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { RewindError } from '../errors/rewind-error.ts';
import { siblingScript } from '../process/sibling-script.ts';
import { startWork } from '../process/work-process.ts';
import type { InspectOptions, RdbInspection } from './inspection.ts';
import type { RdbSource } from './source.ts';

export type { DatabaseCount, InspectOptions, RdbInspection, SampledKey, SampleOptions } from './inspection.ts';

/** What the process that reads is told: a path, or the number of a descriptor that it was started with. */
export interface InspectTask {
  readonly source: { readonly path: string } | { readonly fd: number };
  /** The file is still being written, until it is told that it is whole. */
  readonly grows: boolean;
  readonly options: Pick<InspectOptions, 'decode' | 'sample'>;
}
/** The file that grew is whole. */
export interface InspectWhole {
  readonly whole: true;
}
/** What it tells on its way. */
export interface InspectNews {
  readonly progress: readonly [bytes: number, total: number];
}

/** Where a stream comes in, and where a descriptor of the caller's is handed over, in the process that reads. */
const streamFd = 0;
const callersFd = 4;

/**
 * Reads a dump once and finds all that a backup says of it: counts by database and type, CRC-64, SHA-256, and on demand
 * a sample of keys with the digests of their content. Runs in a process of its own, so that the caller's event loop
 * stays free and a fault in there (of V8 too: it has aborted over WebAssembly in short-lived threads) is an error here
 * and no crash; memory does not grow with the dump. A stream has to end with the dump; it is read no faster than it is
 * understood, and is left when reading fails.
 *
 * @throws RewindError as `walkRdb`: a count is right or there is none. RDB_TYPE_UNKNOWN and RDB_VERSION_UNKNOWN have
 *   `sizeBytes`, `sha256` and `crc` in their details: such a dump can be stored, only not understood. RDB_READER_DIED
 */
export async function inspectRdb(source: RdbSource, options: InspectOptions = {}): Promise<RdbInspection> {
  const { signal, onProgress, growsUntil, decode, sample } = options;
  if (signal?.aborted) throw cancelled();
  const work = startWork<InspectTask | InspectWhole, InspectNews, RdbInspection>(
    {
      ...{
        script: siblingScript(import.meta.url, './inspect-child'),
        died,
        takesStream: Symbol.asyncIterator in source,
      },
      ...('fd' in source ? { descriptor: source.fd } : {}),
    },
    ({ progress }) => onProgress?.(...progress),
  );
  const stop = () => work.fail(cancelled());
  signal?.addEventListener('abort', stop, { once: true });
  if (Symbol.asyncIterator in source) feed(source, work.stdin!).catch(work.fail);
  const grows = growsUntil !== undefined;
  work.tell({ source: taskSource(source), grows, options: { decode, sample } });
  const whole = () => work.tell({ whole: true });
  growsUntil?.then(whole, whole);
  try {
    return received(await work.ended());
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

function taskSource(source: RdbSource): InspectTask['source'] {
  if (Symbol.asyncIterator in source) return { fd: streamFd };
  return 'path' in source ? { path: source.path } : { fd: callersFd };
}

/** Hands a stream over. Only its own failure is one: when the reader has had enough, its message says why. */
async function feed(chunks: AsyncIterable<Uint8Array>, stdin: Writable): Promise<void> {
  let failure: { readonly error: unknown } | undefined;
  async function* watched() {
    try {
      yield* chunks;
    } catch (error) {
      failure = { error };
      throw error;
    }
  }
  await pipeline(watched(), stdin).catch(() => {});
  if (failure !== undefined) throw failure.error;
}

/** Between processes a Buffer may arrive as a plain Uint8Array. */
function received(inspection: RdbInspection): RdbInspection {
  if (inspection.sample === undefined) return inspection;
  return { ...inspection, sample: inspection.sample.map((each) => ({ ...each, key: Buffer.from(each.key) })) };
}

function cancelled(): RewindError {
  return new RewindError('RDB_CANCELLED', 'reading the dump was cancelled');
}

function died(how: string, cause?: unknown): RewindError {
  return new RewindError('RDB_READER_DIED', `the process that reads the dump ended ${how} and without a result`, {
    cause,
  });
}
