import { createHash, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AofCommand } from '../../aof/command.ts';
import { parseAofManifest } from '../../aof/manifest.ts';
import { AofScanner } from '../../aof/scanner.ts';
import { baseKey, baseRecordKey, eventKey, segmentKey, timelineKey } from '../../archive/layout.ts';
import { push } from '../../archive/read/cut.ts';
import {
  type BaseRecord,
  baseSchema,
  type EventRecord,
  encodeRecord,
  eventSchema,
  type TimelineRecord,
  timelineSchema,
} from '../../archive/records.ts';
import { encodeSegment } from '../../archive/segment.ts';
import type { Repository } from '../../repository/repository.ts';

export interface CutterOptions {
  readonly instance?: string;
  /** Of the instance whose backups are in the same repository; default: one of its own. */
  readonly identity?: string;
  readonly version?: string;
  /** Bytes after which a segment is cut, at the next unit's end. */
  readonly segmentBytes?: () => number;
}

/** A command or transaction in the archive, by its positions. */
export interface ArchivedUnit {
  readonly start: number;
  readonly end: number;
  /** Of the first command, in lower case. */
  readonly name: string;
}

const destructive = new Set(['flushall', 'flushdb', 'swapdb']);

/**
 * Makes an archive of the files that a real server wrote: looks at its append-only folder now and then, as a follower that is
 * never late. The server must keep replaced files (`aof-disable-auto-gc yes`).
 */
export class ArchiveCutter {
  readonly repository: Repository;
  readonly instance: string;
  readonly identity: string;
  readonly units: ArchivedUnit[] = [];
  readonly #options: CutterOptions;
  #timeline = 0;
  #position = 0;
  #previous: string | null = null;
  #startedAt = 0;
  #bases = new Set<string>();
  #files = new Map<string, { shipped: number; db: number }>();

  constructor(repository: Repository, options: CutterOptions = {}) {
    this.repository = repository;
    this.instance = options.instance ?? 'orders';
    this.identity = options.identity ?? randomUUID();
    this.#options = options;
  }

  get position(): number {
    return this.#position;
  }

  get timeline(): number {
    return this.#timeline;
  }

  /** Begins a timeline at the next position. */
  async begin(why: TimelineRecord['why'], parent?: TimelineRecord['parent'], startedMs = Date.now()): Promise<number> {
    this.#timeline += 1;
    if (parent) this.#position += 1_000;
    this.#startedAt = this.#position;
    this.#previous = null;
    this.#bases.clear();
    this.#files.clear();
    const key = timelineKey(this.instance, this.#timeline);
    const record: TimelineRecord = {
      ...this.#common(),
      parent,
      start: this.#startedAt,
      startedMs,
      why,
      server: this.#server(),
    };
    await this.repository.putSmall(key, encodeRecord(timelineSchema, record, key));
    return this.#timeline;
  }

  /** What came since the last look at the server's folder, with every file that a rewrite made. */
  async look(dir: string, timeMs = Date.now()): Promise<void> {
    const folder = join(dir, 'appendonlydir');
    const manifest = parseAofManifest(await readFile(join(folder, 'appendonly.aof.manifest')));
    const incrs = [...manifest.history.filter(({ name }) => name.includes('.incr.')), ...manifest.incrs];
    incrs.sort((a, b) => a.seq - b.seq);
    const first = manifest.incrs[0]?.name;
    for (const { name } of incrs) {
      if (name === first && manifest.base) await this.#base(join(folder, manifest.base.name), timeMs);
      await this.#incr(join(folder, name), name, timeMs);
    }
  }

  async event(event: Pick<EventRecord, 'kind' | 'position' | 'timeMs'> & Partial<EventRecord>): Promise<void> {
    const key = eventKey(this.instance, this.#timeline, event);
    await this.repository.putSmall(key, encodeRecord(eventSchema, { ...this.#common(), ...event }, key));
  }

  /** What follows is behind a gap. */
  async gap(bytes: number, timeMs: number, until: number): Promise<void> {
    const position = this.#position;
    this.#position += bytes;
    this.#previous = null;
    await this.event({ kind: 'gap', position, timeMs, until: { position: this.#position, timeMs: until } });
    this.#bases.clear();
  }

  async #base(path: string, timeMs: number): Promise<void> {
    if (this.#bases.has(path)) return;
    this.#bases.add(path);
    const bytes = await readFile(path);
    const position = this.#position;
    const record: BaseRecord = {
      ...this.#common(),
      position,
      kind: bytes.subarray(0, 5).toString() === 'REDIS' ? 'rdb' : 'aof',
      sizeBytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      timeMs,
      server: this.#server(),
    };
    await this.repository.putSmall(baseKey(this.instance, this.#timeline, position), bytes);
    const key = baseRecordKey(this.instance, this.#timeline, position);
    await this.repository.putSmall(key, encodeRecord(baseSchema, record, key));
  }

  async #incr(path: string, name: string, timeMs: number): Promise<void> {
    const file = this.#files.get(name) ?? { shipped: 0, db: 0 };
    const bytes = (await readFile(path)).subarray(file.shipped);
    if (bytes.length === 0) return;
    const offset = this.#position;
    const cuts: { end: number; db: number }[] = [];
    const found: ArchivedUnit[] = [];
    let begin = offset;
    let name0 = '';
    const size = this.#options.segmentBytes ?? (() => 4_096);
    let wanted = size();
    const scanner = new AofScanner(
      {
        command: (command: AofCommand) => {
          const name = command.copyArgument(0)?.toString().toLowerCase() ?? '';
          if (command.transactionAt < 0 || command.transactionAt === command.start) name0 = name;
          if (destructive.has(name)) name0 = name;
          if (command.transactionAt >= 0 && !command.is('exec')) return;
          const start = command.transactionAt < 0 ? command.start : command.transactionAt;
          found.push({ start, end: command.end, name: name0 });
          const { db } = scanner.progress;
          if (command.end - begin < wanted) return;
          cuts.push({ end: command.end, db });
          begin = command.end;
          wanted = size();
        },
      },
      { offset, db: file.db },
    );
    push(scanner, bytes);
    const { validUpTo, db } = scanner.progress;
    if (validUpTo > begin) cuts.push({ end: validUpTo, db });
    let start = offset;
    for (const cut of cuts) {
      const body = bytes.subarray(start - offset, cut.end - offset);
      const encoded = encodeSegment(
        {
          instance: this.instance,
          identity: this.identity,
          timeline: this.#timeline,
          start,
          end: cut.end,
          file: { name, offset: file.shipped },
          db: file.db,
          commands: 1,
          firstMs: timeMs,
          lastMs: timeMs,
          marks: [[timeMs, cut.end]],
          previous: this.#previous,
          runId: '',
        },
        body,
      );
      await this.repository.putSmall(segmentKey(this.instance, this.#timeline, start), encoded.bytes);
      this.#previous = encoded.digest;
      file.shipped += body.length;
      file.db = cut.db;
      start = cut.end;
    }
    this.#position = start;
    this.#files.set(name, file);
    this.units.push(...found);
    for (const unit of found) {
      if (!destructive.has(unit.name)) continue;
      const until = { position: unit.end, timeMs };
      await this.event({ kind: 'destructive', position: unit.start, timeMs, until, command: unit.name.toUpperCase() });
    }
  }

  #common = () =>
    ({ formatVersion: 1, instance: this.instance, identity: this.identity, timeline: this.#timeline }) as const;

  #server = () => ({ name: 'redis' as const, version: this.#options.version ?? '7.0.15', runId: '' });
}
