import { closeSync, openSync, writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import type { StepIO } from '../../process/step-io.ts';
import type { StreamDetail } from '../../rdb/content-digest.ts';
import type { RedisTarget } from '../../redis/connection.ts';
import { keyLine } from '../compare/key-line.ts';
import { readDumpSide, streamDetailOfDump } from './dump-side.ts';
import { readLiveSide, streamDetailOfServer } from './live-side.ts';
import { Partitions, partitionCount, type SideKey } from './partitions.ts';

/** A dump on local disk, or a server that runs. */
export type DiffSide = { readonly dump: string } | { readonly live: RedisTarget; readonly keysPerSecond?: number };

export interface DiffCounts {
  /** In B and not in A. */
  readonly added: number;
  /** In A and not in B, and not because its time had passed. */
  readonly gone: number;
  /** In both, with other content, type or expiry. */
  readonly changed: number;
  readonly same: number;
  /** In A and not in B, whose time had passed when B was read or written. */
  readonly expired: number;
  /** In both, of types that cannot be compared by content. */
  readonly unreadable: number;
}

export interface DiffResult extends DiffCounts {
  readonly byDatabase: Readonly<Record<string, DiffCounts>>;
  /** When each side was as it is shown, Unix ms by its server's clock; 0 where a dump does not say. */
  readonly atMs: { readonly a: number; readonly b: number };
}

export interface DiffOptions {
  /** An own, empty folder for what is sorted; about 60 bytes for each key of both sides. The caller removes it. */
  readonly workFolder: string;
  /** A file for the names of the keys that differ: JSON lines `{"db":0,"key":"…","change":"added"}`; must not exist. */
  readonly namesFile: string;
}

/** Tells in this process: see `diffContents`, which gives it a process of its own. */
export async function diffHere(a: DiffSide, b: DiffSide, options: DiffOptions, io: StepIO): Promise<DiffResult> {
  const details = await Promise.all([a, b].map(streamDetailOf));
  const streamDetail = Math.min(...details) as StreamDetail;
  const fd = openSync(options.namesFile, 'wx', 0o600);
  const [sideA, sideB] = [new Partitions(options.workFolder, 'a'), new Partitions(options.workFolder, 'b')];
  try {
    const { atMs: aAt } = await readSide(a, streamDetail, sideA, io);
    const { atMs: bAt } = await readSide(b, streamDetail, sideB, io);
    const tally = new Tally();
    for (let partition = 0; partition < partitionCount; partition++) {
      io.signal.throwIfAborted();
      writeNames(fd, tally.take(sideA.read(partition), sideB.read(partition), bAt));
      for (const side of [sideA, sideB]) side.remove(partition);
      io.onProgress({ phase: 'compare', done: partition + 1, total: partitionCount });
      await setImmediate();
    }
    return { ...tally.total, byDatabase: Object.fromEntries(tally.databases), atMs: { a: aAt, b: bAt } };
  } finally {
    sideA.close();
    sideB.close();
    closeSync(fd);
  }
}

function streamDetailOf(side: DiffSide): Promise<StreamDetail> {
  return 'dump' in side ? streamDetailOfDump(side.dump) : streamDetailOfServer(side.live);
}

async function readSide(side: DiffSide, streamDetail: StreamDetail, into: Partitions, io: StepIO) {
  const onKey = (key: SideKey) => into.add(key);
  const read =
    'dump' in side
      ? await readDumpSide(side.dump, streamDetail, onKey, io)
      : await readLiveSide(side.live, { streamDetail, keysPerSecond: side.keysPerSecond }, onKey, io);
  into.end();
  return read;
}

type Counts = { -readonly [Name in keyof DiffCounts]: number };
const noCounts: DiffCounts = { added: 0, gone: 0, changed: 0, same: 0, expired: 0, unreadable: 0 };

class Tally {
  readonly total: Counts = { ...noCounts };
  readonly databases = new Map<number, Counts>();

  /** @returns lines that name the keys that differ */
  take(a: ReadonlyMap<string, SideKey>, b: Map<string, SideKey>, bAtMs: number): string[] {
    const lines: string[] = [];
    const count = ({ db, key }: SideKey, change: keyof DiffCounts) => {
      this.#of(db)[change]++;
      this.total[change]++;
      if (change !== 'same' && change !== 'unreadable') lines.push(keyLine(db, key, { change }));
    };
    for (const [name, before] of a) {
      const after = b.get(name);
      b.delete(name);
      if (after === undefined) {
        count(before, before.expireAtMs !== -1 && before.expireAtMs <= bAtMs ? 'expired' : 'gone');
      } else if (before.digest === undefined && after.digest === undefined) count(before, 'unreadable');
      else count(before, before.digest === after.digest ? 'same' : 'changed');
    }
    for (const after of b.values()) count(after, 'added');
    return lines;
  }

  #of(db: number): Counts {
    const counts = this.databases.get(db) ?? { ...noCounts };
    this.databases.set(db, counts);
    return counts;
  }
}

function writeNames(fd: number, lines: readonly string[]): void {
  const bytes = Buffer.from(lines.join(''));
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}
