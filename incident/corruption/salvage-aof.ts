import { type FileHandle, open } from 'node:fs/promises';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import type { AofStretch, AofSurvey } from './survey-aof.ts';

const blockBytes = 1024 * 1024;

/** Bytes of a source that go into a new file; before a stretch the database that it is in. */
interface Piece {
  readonly from: number;
  readonly to: number;
  readonly before?: Buffer;
}

/** The file up to the damage: whole commands, no half transaction. @returns its length */
export function writeUntilDamage(source: string, survey: AofSurvey, out: string, io: StepIO): Promise<number> {
  return writePieces(source, [{ from: 0, to: survey.cut }], out, io);
}

/**
 * The file without what is damaged: each stretch of whole commands, behind damage with a SELECT before it. A damaged dump
 * at its beginning is left out: `prefix` stands for it.
 *
 * @param prefix a file that comes first (the salvaged preamble), in place of the preamble
 */
export function writeWithoutDamage(
  source: string,
  survey: AofSurvey,
  out: string,
  io: StepIO,
  prefix?: string,
): Promise<number> {
  const preamble =
    prefix === undefined && survey.preamble?.end !== undefined ? [{ from: 0, to: survey.preamble.end }] : [];
  return writePieces(source, [...preamble, ...survey.stretches.map(pieceOf)], out, io, prefix);
}

function pieceOf({ from, to, db, part }: AofStretch): Piece {
  return part === 'before' ? { from, to } : { from, to, before: select(db) };
}

function select(db: number): Buffer {
  const text = String(db);
  return Buffer.from(`*2\r\n$6\r\nSELECT\r\n$${text.length}\r\n${text}\r\n`);
}

async function writePieces(
  sourcePath: string,
  pieces: readonly Piece[],
  outPath: string,
  io: StepIO,
  prefix?: string,
): Promise<number> {
  const target = await open(outPath, prefix === undefined ? 'w' : 'r+', 0o600);
  try {
    let at = prefix === undefined ? 0 : (await target.stat()).size;
    const source = await open(sourcePath, 'r');
    try {
      const total = pieces.reduce((sum, { from, to }) => sum + to - from, 0);
      for (const { from, to, before } of pieces) {
        if (before !== undefined) at += await put(target, before, at);
        at += await copyRange(source, target, { from, to }, at, total, io);
      }
    } finally {
      await source.close();
    }
    await target.sync();
    return at;
  } finally {
    await target.close();
  }
}

async function copyRange(
  source: FileHandle,
  target: FileHandle,
  { from, to }: Piece,
  outAt: number,
  total: number,
  io: StepIO,
): Promise<number> {
  const block = Buffer.allocUnsafe(Math.min(blockBytes, Math.max(1, to - from)));
  let done = 0;
  while (from + done < to) {
    io.signal.throwIfAborted();
    const { bytesRead } = await source.read(block, 0, Math.min(block.length, to - from - done), from + done);
    if (bytesRead === 0) throw new RewindError('AOF_READ_FAILED', 'the damaged file became shorter while it was read');
    await put(target, block.subarray(0, bytesRead), outAt + done);
    done += bytesRead;
    io.onProgress({ phase: 'write', done, total, unit: 'bytes' });
  }
  return done;
}

async function put(target: FileHandle, bytes: Uint8Array, at: number): Promise<number> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await target.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
  return bytes.length;
}
