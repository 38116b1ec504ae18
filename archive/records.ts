import * as z from 'zod';
import { checkDocument, type DocumentKind, parseDocument } from '../repository/document.ts';
import { eventKinds } from './layout.ts';

/** Raised only by a change that an older reader must not ignore. */
export const ARCHIVE_FORMAT_VERSION = 1;

/** Read back from a place that others may write to: everything in them is bounded. */
const RECORD_BYTES = 256 * 1024;

const position = z.int().nonnegative();
/** Unix ms, by the clock of the machine that it was seen on. */
const timeMs = z.int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const word = z.string().min(1).max(128);
const sentence = z.string().max(4_096);
const server = z.object({
  name: z.enum(['redis', 'valkey']),
  version: z.string().max(64),
  runId: z.string().max(64),
  /** Absent where it was not asked. */
  replicationId: z.string().max(64).optional(),
});
const common = {
  formatVersion: z.literal(ARCHIVE_FORMAT_VERSION),
  instance: word,
  /** Of the instance, as in its backups: two servers never mix in one archive. */
  identity: z.uuid(),
  timeline: z.int().positive(),
};

/** A history without a fork. Another one begins where what the server holds does not follow from what was archived. */
export const timelineSchema = z.object({
  ...common,
  /** Absent for the first. Where it left the other: all of the parent before this position is its past, too. */
  parent: z.object({ timeline: z.int().positive(), position }).optional(),
  /** Position of its first byte. */
  start: position,
  /** Where in an append-only file that byte stands, and the database there; absent where it begins with a base. */
  file: z.object({ name: z.string().min(1).max(255), offset: position, db: z.int().nonnegative() }).optional(),
  startedMs: timeMs,
  /** `discontinuity`: the server holds what does not follow, and it is not known why. */
  why: z.enum(['first', 'promotion', 'restore', 'undo', 'older-file', 'discontinuity', 'adopted']),
  note: sentence.optional(),
  server,
});
export type TimelineRecord = z.output<typeof timelineSchema>;

/** A base of the append-only file, whole: the state right before `position`, at which the incr that begins with it starts. */
export const baseSchema = z.object({
  ...common,
  position,
  /** By its first bytes: a dump, or commands (`aof-use-rdb-preamble no`). */
  kind: z.enum(['rdb', 'aof']),
  sizeBytes: z.int().nonnegative(),
  sha256,
  /** When it became the base. */
  timeMs,
  server,
  /** Of a base that came by replication: the place in the server's replication history that it stands for. */
  replication: z.object({ id: z.string().max(64), offset: position }).optional(),
});
export type BaseRecord = z.output<typeof baseSchema>;

/**
 * - `gap`: what was written from `position` on, up to `until`, is not in the archive; a base stands at `until`, or follows.
 * - `destructive`: a command that takes away much begins at `position` (or the MULTI that it is in), up to `until`.
 * - `clock`: the machine's clock was set from `timeMs` to `toMs`.
 * - `pin`: a last good moment; nothing that it needs may be pruned. `command` says what came then.
 * - `release`: the pin at this position does not hold any more.
 */
export const eventSchema = z.object({
  ...common,
  kind: z.enum(eventKinds),
  position,
  timeMs,
  until: z.object({ position, timeMs }).optional(),
  toMs: timeMs.optional(),
  /** Upper case, without arguments: `FLUSHALL`, `UNLINK`. */
  command: z.string().max(32).optional(),
  database: z.int().nonnegative().optional(),
  /** Keys that it took away, where that is known. */
  keys: z.int().nonnegative().optional(),
  note: sentence.optional(),
});
export type EventRecord = z.output<typeof eventSchema>;

const kind: DocumentKind = { code: 'ARCHIVE_RECORD_INVALID', newestVersion: ARCHIVE_FORMAT_VERSION };

/** @throws ARCHIVE_RECORD_INVALID */
export function decodeRecord<T>(schema: z.ZodType<T>, bytes: Buffer, key: string): T {
  return parseDocument(kind, schema, bytes, key);
}

/** @throws ARCHIVE_RECORD_INVALID: nothing is stored that could not be read back */
export function encodeRecord<T>(schema: z.ZodType<T>, record: T, key: string): Buffer {
  return Buffer.from(`${JSON.stringify(checkDocument(kind, schema, record, key), null, 2)}\n`);
}

export { RECORD_BYTES as recordBytes };
