import { readIdentity } from '../../repository/identity.ts';
import type { Repository } from '../../repository/repository.ts';
import { baseRecordKey, parseSegmentKey, segmentKey, segmentsDirectory } from '../layout.ts';
import { readBase } from '../read/records.ts';
import type { TimelineRecord } from '../records.ts';
import { decodeSegment, headerBytes } from '../segment.ts';
import { readStoredHeader } from '../stored-header.ts';
import type { AofPlace } from './aof-place.ts';
import { digestOfBytes, FileTail } from './file-tail.ts';
import type { HeldFile } from './held-files.ts';
import type { FilesNow } from './manifest-watch.ts';
import type { ServerSigns } from './server-watch.ts';
import { positions, type Tip } from './tip.ts';

/** A place in a file from which the archive goes on. */
export interface Place {
  readonly file: HeldFile;
  readonly offset: number;
  readonly db: number;
}

/** What follows from what is archived and what is on the disk. */
export type Continuation =
  /** The file that the last segment is from is there with the same bytes. */
  | { readonly how: 'same-file'; readonly at: Place; readonly previous: string | null }
  /** Its base stands in the archive, or is to be stored there: nothing of the incr behind it is archived yet. */
  | {
      readonly how: 'from-base';
      readonly position: number;
      readonly previous: string | null;
      readonly gap?: { readonly note: string };
    }
  | {
      readonly how: 'new-timeline';
      readonly why: TimelineRecord['why'];
      readonly note: string;
      /** Where its file leaves what is archived; absent where it begins with a base. */
      readonly fork?: { readonly at: Place; readonly position: number };
    }
  /** Only the server can tell, and it does not answer. */
  | { readonly how: 'ask-server' };

export interface Situation {
  readonly repository: Repository;
  readonly instance: string;
  readonly tip: Tip;
  readonly files: FilesNow | undefined;
  readonly held: readonly HeldFile[];
  /** Ids of files that were followed to their end, and did not go on. */
  readonly exhausted: ReadonlySet<string>;
  readonly signs: ServerSigns | undefined;
  readonly place: AofPlace;
  readonly transactionBytes: number;
}

/** Where the archive of an instance goes on: by bytes first, by what the server says where its bytes are gone. */
export async function whereToGoOn(situation: Situation): Promise<Continuation> {
  const { tip, files, signs } = situation;
  const same = tip.behindGap ? undefined : await sameFile(situation);
  if (same) return same;
  if (!files) return { how: 'ask-server' };
  // A rewrite, and nothing since: its base is where the archive ends.
  if (tip.bases.has(tip.position) && (await fits(situation))) {
    const previous = tip.behindGap ? null : (tip.last?.digest ?? null);
    return { how: 'from-base', position: tip.position, previous };
  }
  if (!signs) return { how: 'ask-server' };
  const begun = begunFile(situation, signs);
  if (begun) return { how: 'same-file', at: { file: begun, offset: 0, db: 0 }, previous: null };
  const sameServer =
    signs.runId === runIdOf(tip) ||
    (signs.replicationId !== '' && signs.replicationId === tip.timeline.server.replicationId);
  if (sameServer) {
    const waiting = (!tip.last && !tip.timeline.file) || tip.behindGap;
    if (waiting && !tip.bases.has(tip.position)) return { how: 'from-base', position: tip.position, previous: null };
    const note = tip.last
      ? `${tip.last.header.file.name} was gone before all of it was archived, or the append-only file was off meanwhile`
      : 'the first base was replaced before it was archived';
    return { how: 'from-base', position: tip.position + 1, previous: null, gap: { note } };
  }
  const fork = tip.behindGap ? undefined : await forkOf(situation);
  if (fork) {
    const note = `${fork.at.file.name} is as it was archived up to its byte ${fork.at.offset}, and another from there on`;
    return { how: 'new-timeline', why: 'older-file', note, fork };
  }
  const { previousId } = signs;
  const known = (await readIdentity(situation.repository, situation.instance))?.replicationIds ?? [];
  const promoted = previousId !== undefined && known.includes(previousId);
  return {
    how: 'new-timeline',
    why: promoted ? 'promotion' : 'discontinuity',
    note: promoted
      ? 'the server was a replica of the one that was archived'
      : 'the server holds files that do not follow from what is archived',
  };
}

/** The incr of a base that is stored, where an agent was killed before its first segment and a rewrite came meanwhile. */
function begunFile({ tip, held, place, exhausted }: Situation, { runId }: ServerSigns): HeldFile | undefined {
  const nothingBehind = (!tip.last || tip.behindGap) && tip.bases.has(tip.position);
  if (!nothingBehind || place.runId !== runId || place.lastFile === undefined) return undefined;
  return held.find(
    ({ id, type, name, seq }) =>
      type === 'incr' && name === place.lastFile && seq === place.lastSeq && !exhausted.has(id),
  );
}

/** Of the server that was followed last. */
export const runIdOf = (tip: Tip): string => tip.last?.header.runId ?? tip.timeline.server.runId;

async function sameFile({ tip, files, held, exhausted, signs }: Situation) {
  const { last, timeline } = tip;
  const name = last?.header.file.name ?? timeline.file?.name;
  const inManifest = (file: HeldFile) => files?.incrs.some(({ id }) => id === file.id) ?? false;
  const candidates = held
    .filter((file) => file.type === 'incr' && file.name === name && !exhausted.has(file.id))
    .sort((a, b) => Number(inManifest(b)) - Number(inManifest(a)));
  for (const file of candidates) {
    if (!last) {
      // Nothing was stored since the timeline began: only the server tells that it is still the same.
      if (!timeline.file || signs?.runId !== timeline.server.runId || !inManifest(file)) continue;
      return { how: 'same-file' as const, at: { file, ...timeline.file }, previous: null };
    }
    const { header, digest } = last;
    const from = header.file.offset;
    const to = from + header.end - header.start;
    if ((await digestOfBytes(file.handle, from, to)) !== header.sha256) continue;
    const db = await databaseAt(file, { from, to, db: header.db });
    return { how: 'same-file' as const, at: { file, offset: to, db }, previous: digest };
  }
  return undefined;
}

async function databaseAt(
  { handle }: HeldFile,
  { from, to, db }: { from: number; to: number; db: number },
): Promise<number> {
  // The last whole command, also of a long transaction that was cut.
  const tail = new FileTail(handle, { offset: from, db }, { transactionBytes: 0 });
  while (await tail.readOn(to));
  return tail.boundary().db;
}

/** True where the base on the disk is the one at the tip. */
const fits = ({ repository, instance, tip, files }: Situation): Promise<boolean> =>
  sameBase(repository, instance, tip.timeline.timeline, tip.position, files);

/** Where a file of the name that was archived leaves what was archived of it: a server was started from an older copy. */
async function forkOf({ repository, instance, tip, files, transactionBytes }: Situation) {
  const header = tip.last?.header;
  const file = header && files?.incrs.find(({ name }) => name === header.file.name);
  if (!header || !file) return undefined;
  const number = tip.timeline.timeline;
  const fileStart = header.start - header.file.offset;
  const starts = (
    await positions(repository, segmentsDirectory(instance, number), (key) => parseSegmentKey(key, instance, number))
  ).filter((start) => start >= fileStart);
  const agrees = async (start: number) => {
    const { header: each } = await readStoredHeader(repository, segmentKey(instance, number, start));
    const from = each.file.offset;
    const same =
      each.file.name === file.name &&
      (await digestOfBytes(file.handle, from, from + each.end - each.start)) === each.sha256;
    return same ? each : undefined;
  };
  // What agrees up to a segment agrees before it: the last that does is found by halving.
  let [low, high] = [0, starts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (await agrees(starts[middle]!)) low = middle + 1;
    else high = middle;
  }
  const differing = starts[low];
  if (low === 0 && !(await sameBase(repository, instance, number, fileStart, files))) return undefined;
  if (differing === undefined) return undefined;
  const key = segmentKey(instance, number, differing);
  const { header: other } = await readStoredHeader(repository, key);
  const length = other.end - other.start;
  const { body } = decodeSegment(await repository.readSmall(key, length + headerBytes + 1), key);
  const common = await commonLength(file, other.file.offset, body);
  const from = { offset: other.file.offset, db: other.db };
  const tail = new FileTail(file.handle, from, { transactionBytes });
  while (await tail.readOn(other.file.offset + common));
  const { offset, db } = tail.boundary();
  return { at: { file, offset, db }, position: other.start + offset - other.file.offset };
}

async function sameBase(repository: Repository, instance: string, timeline: number, start: number, files?: FilesNow) {
  const key = baseRecordKey(instance, timeline, start);
  if (!files?.base || !(await repository.stat(key))) return false;
  const { sha256 } = await readBase({ repository, instance }, timeline, start);
  const { size } = await files.base.handle.stat();
  return (await digestOfBytes(files.base.handle, 0, size)) === sha256;
}

async function commonLength({ handle }: HeldFile, from: number, body: Uint8Array): Promise<number> {
  const there = Buffer.alloc(body.length);
  const { bytesRead } = await handle.read(there, 0, there.length, from);
  let same = 0;
  while (same < bytesRead && there[same] === body[same]) same++;
  return same;
}
