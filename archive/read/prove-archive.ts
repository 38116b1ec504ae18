import { createHash } from 'node:crypto';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { baseKey } from '../layout.ts';
import { readChain } from './chain.ts';
import { endOf } from './end-of-timeline.ts';
import { findMoment } from './find-moment.ts';
import { type LoadedMoment, loadMoment, type MomentSandbox } from './load-moment.ts';
import type { Moment } from './moment.ts';
import { type ArchivePlace, readBase } from './records.ts';
import { type ArchiveView, namesOf, readEvents, viewArchive } from './timelines.ts';

/** A stretch that hangs together, from a base on; or where it does not. */
export interface ProvenSpan {
  readonly timeline: number;
  readonly from: number;
  readonly to: number;
  readonly segments: number;
  readonly bytes: number;
  readonly bases: number;
}

export interface ArchiveProof {
  readonly spans: readonly ProvenSpan[];
  /** Each with its code; empty where nothing is wrong. */
  readonly contradictions: readonly { readonly code: string; readonly message: string }[];
  /** The newest moment, started from by a server; absent where the chain is broken or there is nothing to start from. */
  readonly replay?: { readonly moment: Moment; readonly loaded: LoadedMoment };
}

/**
 * Proves an archive from its first base to its end: every base and every segment is read back and compared, the chain goes on
 * from each to the next, and a real server starts from the newest moment. It goes on behind a contradiction, so that all of
 * them are known.
 */
export async function proveArchive(place: ArchivePlace, sandbox: MomentSandbox, io: StepIO): Promise<ArchiveProof> {
  const view = await viewArchive(place);
  if (view.timelines.size === 0) {
    throw new RewindError('ARCHIVE_EMPTY', `The archive of ${place.instance} holds nothing that could be proven.`);
  }
  const spans: ProvenSpan[] = [];
  const contradictions: { code: string; message: string }[] = [];
  const note = (error: unknown) => {
    if (!(error instanceof RewindError) || !error.code.startsWith('ARCHIVE_')) throw error;
    contradictions.push({ code: error.code, message: error.message });
  };
  for (const timeline of view.timelines.keys()) {
    for (const { position } of namesOf(view, timeline).bases) {
      await proveBase(view, timeline, position, io).catch(note);
    }
    for (const { from, to } of await stretches(view, timeline)) {
      await proveStretch(view, timeline, from, to, io).then((span) => spans.push(span), note);
    }
  }
  if (contradictions.length > 0) return { spans, contradictions };
  const moment = await findMoment(place, { kind: 'latest' }, { signal: io.signal });
  const loaded = await loadMoment(place, moment, sandbox, io, async (_, facts) => facts);
  return { spans, contradictions, replay: { moment, loaded } };
}

/** Between gaps, from the first base on; what stands before it rests on a parent or was pruned. */
async function stretches(view: ArchiveView, timeline: number): Promise<{ from: number; to: number }[]> {
  const names = namesOf(view, timeline);
  const end = await endOf(view, timeline);
  const first = view.timelines.get(timeline)?.file ? view.timelines.get(timeline)!.start : names.bases[0]?.position;
  if (!end || first === undefined) return [];
  const gaps = await readEvents(
    view,
    timeline,
    names.events.filter(({ kind, position }) => kind === 'gap' && position >= first),
  );
  const found: { from: number; to: number }[] = [];
  let from: number | undefined = first;
  for (const gap of gaps) {
    if (from !== undefined && from < gap.position) found.push({ from, to: gap.position });
    const behind = gap.until?.position ?? gap.position + 1;
    from = names.bases.find(({ position }) => position >= behind)?.position;
  }
  if (from !== undefined && from < end.position) found.push({ from, to: end.position });
  return found;
}

async function proveStretch(
  view: ArchiveView,
  timeline: number,
  from: number,
  to: number,
  io: StepIO,
): Promise<ProvenSpan> {
  const identity = view.timelines.get(timeline)!.identity;
  const names = namesOf(view, timeline);
  let segments = 0;
  let bytes = 0;
  for await (const part of readChain(view.place, names, { timeline, from, to }, { identity }, io.signal)) {
    if (part.part === 'bytes') {
      bytes += part.bytes.length;
      io.onProgress({ phase: `timeline ${timeline}`, done: bytes, total: to - from, unit: 'bytes' });
    } else if (part.part === 'end') segments += 1;
  }
  const bases = names.bases.filter(({ position }) => from <= position && position <= to).length;
  return { timeline, from, to, segments, bytes, bases };
}

async function proveBase(view: ArchiveView, timeline: number, position: number, io: StepIO): Promise<void> {
  const { repository, instance } = view.place;
  const record = await readBase(view.place, timeline, position);
  const key = baseKey(instance, timeline, position);
  const hash = createHash('sha256');
  let done = 0;
  try {
    for await (const chunk of await repository.read(key, { signal: io.signal })) {
      hash.update(chunk as Buffer);
      done += (chunk as Buffer).length;
      io.onProgress({ phase: `base ${position}`, done, total: record.sizeBytes, unit: 'bytes' });
    }
  } catch (error) {
    if (!(error instanceof RewindError) || !/^OBJECT_/.test(error.code)) throw error;
    throw new RewindError('ARCHIVE_BASE_DIFFERS', `${key}: ${error.message}`, { cause: error });
  }
  if (done !== record.sizeBytes || hash.digest('hex') !== record.sha256) {
    throw new RewindError('ARCHIVE_BASE_DIFFERS', `The store gives other bytes for ${key} than were stored.`);
  }
}
