import type { FileHandle } from 'node:fs/promises';
import type { AofCommand } from '../../aof/command.ts';
import { AofScanner } from '../../aof/scanner.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { readChain } from './chain.ts';
import { push } from './cut.ts';
import { listArchive, type TimelineNames } from './listing.ts';
import type { Leg, Moment } from './moment.ts';
import { OmittedRanges } from './omitted-ranges.ts';
import type { ArchivePlace } from './records.ts';

/** Where a replay stands at the end of a segment: enough to go on from it. */
export interface ReplayPlace {
  readonly timeline: number;
  /** Of the next byte of the archive. */
  readonly position: number;
  /** Digest of the segment before it. */
  readonly previous: string;
  /** Bytes written so far. */
  readonly written: number;
  /** Database that is selected there, in the archive and in what was written. */
  readonly db: number;
  readonly omitted: number;
}

/**
 * Writes what stands between a moment's base and its cut, without what is left out. Framing is proven with the chain: a
 * segment that does not consist of whole commands is damage, and so is an omission that is none.
 */
export class ReplayWriter {
  readonly #place: ArchivePlace;
  readonly #moment: Moment;
  readonly #from: ReplayPlace | undefined;
  readonly #begin: number;
  readonly #omit: OmittedRanges;
  #written: number;
  /** Database that whoever reads what was written has selected. */
  #db: number;
  /** Databases to be selected where something was left out that selected them. */
  readonly #selectAt = new Map<number, number>();

  /** @param begin offset in the file at which the replay begins */
  constructor(place: ArchivePlace, moment: Moment, from: ReplayPlace | undefined, begin: number) {
    this.#place = place;
    this.#moment = moment;
    this.#from = from;
    this.#begin = begin;
    this.#omit = new OmittedRanges(moment.omit ?? [], from?.omitted);
    this.#written = from?.written ?? 0;
    this.#db = from?.db ?? 0;
  }

  get written(): number {
    return this.#written;
  }

  async *write(file: FileHandle, io: StepIO): AsyncGenerator<ReplayPlace> {
    const names = await listArchive(this.#place.repository, this.#place.instance);
    const { legs } = this.#moment;
    const total = legs.reduce((sum, { from, to }) => sum + to - from, 0);
    const resumed = this.#from;
    const first = resumed ? legs.findIndex(({ timeline }) => timeline === resumed.timeline) : 0;
    for (const [index, leg] of legs.entries()) {
      if (index < first) continue;
      const resume = resumed && index === first ? resumed : undefined;
      if (resume && resume.position >= leg.to) continue;
      const none = { timeline: leg.timeline, recorded: true, bases: [], segments: [], hours: [], events: [] };
      yield* this.#leg(names.get(leg.timeline) ?? none, leg, resume, file, total, io);
    }
    this.#omit.assertAllMet();
  }

  async *#leg(
    names: TimelineNames,
    leg: Leg,
    resume: ReplayPlace | undefined,
    out: FileHandle,
    total: number,
    io: StepIO,
  ): AsyncGenerator<ReplayPlace> {
    const from = resume?.position ?? leg.from;
    const origin = { identity: this.#moment.identity, previous: resume?.previous };
    let scanner: AofScanner | undefined;
    let position = from;
    let file: string | undefined;
    const visitor = {
      command: (command: AofCommand) => {
        const before = this.#omit.meets(command);
        if (before === undefined) return;
        // What it selected has to be selected without it, too.
        const { db } = scanner!.progress;
        if (db !== before) this.#selectAt.set(command.end, db);
      },
    };
    for await (const part of readChain(this.#place, names, { ...leg, from }, origin, io.signal)) {
      if (part.part === 'header') {
        const { header } = part;
        if (position === from && header.start !== from) throw notAtStart(this.#place.instance, leg.timeline, from);
        position = header.start;
        if (scanner === undefined || header.file.name !== file) {
          scanner?.finish();
          scanner = new AofScanner(visitor, { offset: header.start, db: header.db });
          // A server selects no database where it goes on in another file than the one it read until there.
          if (header.db !== this.#db) await this.#select(out, header.db);
          file = header.file.name;
        }
      } else if (part.part === 'bytes') {
        push(scanner!, part.bytes);
        await this.#copy(out, part.bytes, position, leg.to);
        position += part.bytes.length;
        const done = Math.min(leg.to, position) - leg.from;
        io.onProgress({ phase: 'download what follows it', done, total, unit: 'bytes' });
      } else {
        const { db, validUpTo } = scanner!.progress;
        this.#db = db;
        // A transaction that was too long for one segment is gone on with as a whole.
        if (validUpTo < position || this.#omit.inside) continue;
        yield {
          timeline: leg.timeline,
          position,
          previous: part.digest,
          written: this.#written,
          db: this.#db,
          omitted: this.#omit.met,
        };
      }
    }
    scanner?.finish();
  }

  /** What of `bytes`, which stand at `position`, is meant. */
  async #copy(file: FileHandle, bytes: Uint8Array, position: number, to: number): Promise<void> {
    let at = position;
    const end = Math.min(position + bytes.length, to);
    while (at < end) {
      const next = this.#omit.endingBehind(at);
      const inside = next !== undefined && next.start <= at ? next : undefined;
      if (inside) {
        at = Math.min(end, inside.end);
        const select = at === inside.end ? this.#selectAt.get(at) : undefined;
        if (select !== undefined) await this.#select(file, select);
        continue;
      }
      const until = Math.min(end, next?.start ?? end);
      await this.#append(file, bytes.subarray(at - position, until - position));
      at = until;
    }
  }

  async #select(file: FileHandle, db: number): Promise<void> {
    const digits = String(db);
    await this.#append(file, Buffer.from(`*2\r\n$6\r\nSELECT\r\n$${digits.length}\r\n${digits}\r\n`));
    this.#db = db;
  }

  async #append(file: FileHandle, bytes: Uint8Array): Promise<void> {
    await file.write(bytes, 0, bytes.length, this.#begin + this.#written);
    this.#written += bytes.length;
  }
}

function notAtStart(instance: string, timeline: number, position: number): RewindError {
  return new RewindError(
    'ARCHIVE_CHAIN_BROKEN',
    `The archive of ${instance} has no segment that begins at position ${position} of timeline ${timeline}.`,
    { details: { timeline, position } },
  );
}
