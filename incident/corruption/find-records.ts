import { open } from 'node:fs/promises';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { RecordProbe } from './record-probe.ts';
import { type RdbForm, walkFrom } from './walk-from.ts';

const windowBytes = 8 * 1024 * 1024;
/** Candidates are tried in the window's first part: what a record needs should still be in it. */
const triedBytes = 4 * 1024 * 1024;
/** Between two pauses for the event loop. */
const sliceBytes = 16 * 1024;
const enoughRecords = 4;

export interface Search {
  readonly path: string;
  readonly form: RdbForm;
  /** The search ends there: the file's size. */
  readonly to: number;
  /** Commands may follow the dump (a preamble). */
  readonly followed: boolean;
  readonly textKeys: boolean;
}

/**
 * Finds where records of a dump begin again, from `from` on: the first byte from which a run of them is well-formed, or
 * which leads to the end of the file.
 *
 * @param damagedRecord offset of the record that the damage is in: where its lengths lead to good records, nothing is
 *   searched for
 */
export async function findRecords(
  search: Search,
  from: number,
  damagedRecord: number | undefined,
  io: StepIO,
): Promise<number | undefined> {
  const probe = new RecordProbe(search.form, search.textKeys);
  const window = Buffer.allocUnsafe(windowBytes);
  const file = await open(search.path, 'r');
  try {
    for (let base = damagedRecord ?? from; base < search.to; ) {
      const bytes = await fill(file, window, base, search.to);
      if (bytes === 0) return undefined;
      const fileEnds = base + bytes >= search.to;
      if (damagedRecord !== undefined && base === damagedRecord) {
        const end = probe.frameEnd(window, 0, bytes);
        if (end !== undefined && probe.run(window, end, bytes, fileEnds, search.followed) === 'good') return base + end;
      }
      const last = fileEnds ? bytes : triedBytes;
      for (let at = Math.max(0, from - base); at < last; at++) {
        if (at % sliceBytes === 0) {
          io.signal.throwIfAborted();
          io.onProgress({ phase: 'search', done: base + at, total: search.to, unit: 'bytes' });
          await new Promise((resume) => setImmediate(resume));
        }
        if (!probe.mayBegin(window[at]!) || isZeroStretch(window, at, bytes)) continue;
        const found = probe.run(window, at, bytes, fileEnds, search.followed);
        if (found === 'good' || (found === 'longer' && (await longRecordsBegin(search, base + at, io.signal)))) {
          return base + at;
        }
      }
      base += last;
    }
    return undefined;
  } finally {
    await file.close();
  }
}

/** Zeroes are records of the empty key and the empty value, one after the other: never begin with these. */
function isZeroStretch(window: Buffer, at: number, to: number): boolean {
  if (window[at] !== 0 || at + 6 > to) return false;
  for (let i = at + 1; i < at + 6; i++) if (window[i] !== 0) return false;
  return true;
}

/** The slow way, for records that are longer than the window. */
async function longRecordsBegin(search: Search, offset: number, signal: AbortSignal): Promise<boolean> {
  let records = 0;
  class Enough extends RewindError {}
  const walked = await walkFrom(
    search.path,
    search.form,
    { offset, db: 0 },
    search.to,
    () => ({
      enterpriseOnly: () => {
        throw new RewindError('RDB_CORRUPT', 'an opcode that no redis-server writes');
      },
      keyEnd: () => {
        if (++records >= enoughRecords) throw new Enough('RDB_CORRUPT', 'enough was read');
      },
    }),
    signal,
  );
  return walked.error instanceof Enough || walked.end === search.to;
}

async function fill(file: Awaited<ReturnType<typeof open>>, window: Buffer, from: number, to: number): Promise<number> {
  const wanted = Math.min(window.length, to - from);
  let there = 0;
  while (there < wanted) {
    const { bytesRead } = await file.read(window, there, wanted - there, from + there);
    if (bytesRead === 0) break;
    there += bytesRead;
  }
  return there;
}
