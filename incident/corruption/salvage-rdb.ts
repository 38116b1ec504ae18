import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { Crc64 } from '../../rdb/crc64.ts';
import { firstVersionWithChecksum, opcode } from '../../rdb/opcodes.ts';
import { type Damage, type RdbSurvey, type Span, type SurveyOptions, surveyRdb } from './survey-rdb.ts';
import { headerOf, selectDb } from './walk-from.ts';

export interface RdbSalvage {
  readonly keysBefore: number;
  readonly keysAfter: number;
  readonly keysByDatabase: Readonly<Record<string, number>>;
  readonly keysWithExpiry: number;
  /** Keys that the dump said it held and that are not taken; absent where it does not say. */
  readonly keysLost?: number;
  readonly lost: readonly Span[];
  readonly damages: readonly Damage[];
  readonly functionLibraries: number;
  readonly sizeBytes: number;
  /** What the person who chooses this has to know, one sentence each. */
  readonly notes: readonly string[];
}

export interface SalvageOptions {
  /** Leaves the function libraries out: a server refuses a whole dump over one that it cannot compile. */
  readonly withoutFunctions?: boolean;
}

const blockBytes = 1024 * 1024;
/** Fields that speak of the dump that was: where its replication stood. */
const notCarried = /^repl-/;

/**
 * Writes a new dump of all that can be read from a damaged one: the keys before the damage and those behind it, each with
 * its bytes as they stand, its expiry and its database. What cannot be trusted is left out.
 *
 * @param dumpPath only read
 * @param outPath there once it is whole, and on the disk
 * @throws CORRUPTION_NOTHING_READABLE; RDB_READ_FAILED, RDB_CANCELLED
 */
export async function salvageRdb(
  dumpPath: string,
  outPath: string,
  options: SurveyOptions & SalvageOptions,
  io: StepIO,
): Promise<RdbSalvage> {
  return writeSalvage(dumpPath, await surveyRdb(dumpPath, options, io), outPath, io, options);
}

/** As `salvageRdb`, with what a survey of the same file has found. */
export async function writeSalvage(
  dumpPath: string,
  found: RdbSurvey,
  outPath: string,
  io: StepIO,
  { withoutFunctions = false }: SalvageOptions = {},
): Promise<RdbSalvage> {
  const survey = withoutFunctions ? { ...found, functions: [] } : found;
  if (survey.runs.length === 0 && survey.damages.length > 0) {
    throw new RewindError('CORRUPTION_NOTHING_READABLE', 'Not one key can be read from the damaged dump.');
  }
  const partial = `${outPath}.partial`;
  const source = await open(dumpPath, 'r');
  try {
    const target = await open(partial, 'w', 0o600);
    let sizeBytes: number;
    try {
      sizeBytes = await write(source, survey, new DumpWriter(target), io);
      await target.sync();
    } finally {
      await target.close();
    }
    await rename(partial, outPath);
    await syncFolder(dirname(outPath));
    return report(survey, sizeBytes, found.functions.length - survey.functions.length);
  } finally {
    await source.close();
    await rm(partial, { force: true });
  }
}

async function write(source: FileHandle, survey: RdbSurvey, out: DumpWriter, io: StepIO): Promise<number> {
  await out.put(headerOf(survey.form));
  for (const [name, value] of Object.entries(survey.aux)) {
    if (!notCarried.test(name)) await out.put(Buffer.concat([Buffer.from([opcode.aux]), text(name), text(value)]));
  }
  for (const code of survey.functions) await out.put(Buffer.concat([Buffer.from([opcode.function2]), text(code)]));
  const total = survey.runs.reduce((sum, { from, to }) => sum + to - from, 0);
  const block = Buffer.allocUnsafe(blockBytes);
  let done = 0;
  for (const [db, sums] of databasesOf(survey)) {
    await out.put(
      Buffer.concat([selectDb(db), Buffer.from([opcode.resizeDb]), length(sums.keys), length(sums.expires)]),
    );
    for (const run of survey.runs) {
      if (run.db !== db) continue;
      for (let at = run.from; at < run.to; ) {
        io.signal.throwIfAborted();
        const { bytesRead } = await source.read(block, 0, Math.min(blockBytes, run.to - at), at);
        if (bytesRead === 0)
          throw new RewindError('RDB_READ_FAILED', 'the damaged dump became shorter while it was read');
        await out.put(block.subarray(0, bytesRead));
        at += bytesRead;
        done += bytesRead;
        io.onProgress({ phase: 'write', done, total, unit: 'bytes' });
      }
    }
  }
  await out.put(Buffer.from([opcode.eof]));
  return out.end(survey.form.version >= firstVersionWithChecksum);
}

function databasesOf({ runs }: RdbSurvey): Map<number, { keys: number; expires: number }> {
  const databases = new Map<number, { keys: number; expires: number }>();
  for (const { db, keys, keysWithExpiry } of runs) {
    const sums = databases.get(db) ?? { keys: 0, expires: 0 };
    databases.set(db, { keys: sums.keys + keys, expires: sums.expires + keysWithExpiry });
  }
  return new Map([...databases].sort(([a], [b]) => a - b));
}

function report(survey: RdbSurvey, sizeBytes: number, librariesLeftOut: number): RdbSalvage {
  const databases = databasesOf(survey);
  const keys = survey.keysBefore + survey.keysAfter;
  return {
    keysBefore: survey.keysBefore,
    keysAfter: survey.keysAfter,
    keysByDatabase: Object.fromEntries([...databases].map(([db, sums]) => [String(db), sums.keys])),
    keysWithExpiry: survey.runs.reduce((sum, { keysWithExpiry }) => sum + keysWithExpiry, 0),
    ...(survey.keysExpected === undefined ? {} : { keysLost: Math.max(0, survey.keysExpected - keys) }),
    lost: survey.lost,
    damages: survey.damages,
    functionLibraries: survey.functions.length,
    sizeBytes,
    notes: librariesLeftOut === 0 ? notesOf(survey) : [...notesOf(survey), leftOut(librariesLeftOut)],
  };
}

const leftOut = (libraries: number) =>
  `${libraries} function ${libraries === 1 ? 'library is' : 'libraries are'} left out, because the server does not load the damaged text: it still stands in the copies; load the application's own with FUNCTION LOAD.`;

/** What cannot be known of what is read from a damaged dump. */
export function notesOf(survey: RdbSurvey): string[] {
  const notes: string[] = [];
  if (survey.damages.some(({ code }) => code === 'RDB_CHECKSUM_WRONG')) {
    notes.push(
      'The content is readable and the checksum is wrong: any value may be wrong, and which one cannot be told.',
    );
  } else if (survey.crc !== 'ok' && survey.damages.length > 0) {
    notes.push(
      'Each key is well-formed, but no checksum vouches for the single value: one that was changed in place is not noticed.',
    );
  }
  if (survey.keysExpected === undefined && survey.lost.length > 0) {
    notes.push('The dump does not say how many keys it held: how many are lost is not known.');
  }
  if (survey.databaseGuessed) {
    notes.push(
      'Keys behind the damage were put into the database that was selected before it; a change of it may be among what is lost.',
    );
  }
  if (survey.moduleAux.length > 0) {
    notes.push(`Data that modules keep beside the keys is not carried over (${survey.moduleAux.join(', ')}).`);
  }
  if (survey.undecoded.length > 0) {
    notes.push(
      `Values of ${survey.undecoded.join(', ')} are taken as they stand: whether they are whole only a server can tell.`,
    );
  }
  return notes;
}

/** Writes a dump and sums it. */
class DumpWriter {
  readonly #file: FileHandle;
  readonly #crc = new Crc64();
  #bytes = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async put(bytes: Uint8Array): Promise<void> {
    this.#crc.update(bytes);
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, at, bytes.length - at, this.#bytes);
      at += bytesWritten;
      this.#bytes += bytesWritten;
    }
  }

  /** @returns the dump's length */
  async end(withSum: boolean): Promise<number> {
    const sum = Buffer.alloc(8);
    sum.writeBigUInt64LE(this.#crc.value);
    if (withSum) await this.put(sum);
    return this.#bytes;
  }
}

/** A length as rdb.h encodes it. */
function length(value: number): Buffer {
  if (value < 64) return Buffer.from([value]);
  if (value < 16384) return Buffer.from([0x40 | (value >> 8), value & 0xff]);
  if (value <= 0xffff_ffff) {
    const four = Buffer.from([0x80, 0, 0, 0, 0]);
    four.writeUInt32BE(value, 1);
    return four;
  }
  const eight = Buffer.alloc(9, 0x81);
  eight.writeBigUInt64BE(BigInt(value), 1);
  return eight;
}

function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([length(bytes.length), bytes]);
}

/** A name that was just given is on the disk only with its folder. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
