import type { InstanceContext } from '../../backup/instance-context.ts';
import { endOf } from '../read/end-of-timeline.ts';
import { viewArchive } from '../read/timelines.ts';
import type { NoticedLoss } from './loss-state.ts';
import type { SeenArchive } from './seen-archive.ts';
import { type GoodMoment, leavesCommand } from './told-loss.ts';

type Exact = NonNullable<NoticedLoss['exact']>;

/**
 * The last moment at which all was there, as far as it can be told exactly: right before the command that stands in the file,
 * or where the timeline ends that a server which came back has left.
 *
 * @returns undefined where that does not show yet @throws those of the store
 */
export async function exactMoment(
  context: InstanceContext,
  archive: SeenArchive,
  { good, goodMs, kind }: NoticedLoss,
): Promise<Exact | undefined> {
  if (kind === 'shrank' && good) return { ...good, timeMs: goodMs };
  const wanted = kind === 'mass-delete' ? /^(DEL|UNLINK)$/ : /^(FLUSH|SWAP)/;
  const [first] = archive
    .since({ atMs: goodMs, ...(good ? { end: good } : {}) })
    .filter(({ command }) => wanted.test(command))
    .sort((a, b) => a.timeline - b.timeline || a.position - b.position);
  if (first) return { timeline: first.timeline, position: first.position, timeMs: first.timeMs };
  if (leavesCommand(kind) || !good || (archive.end?.timeline ?? 0) <= good.timeline) return undefined;
  const end = await endOfTimeline(context, good.timeline);
  return end && { timeline: good.timeline, position: end.position, timeMs: end.timeMs ?? goodMs };
}

/**
 * Where the exact moment did not show in time: where the archive was when all was there at the last look, and of a server
 * that came back, which writes no more there, what is archived behind that.
 *
 * @throws those of the store
 */
export async function latestGoodMoment(
  context: InstanceContext,
  archive: SeenArchive,
  { good, kind }: NoticedLoss,
): Promise<GoodMoment | undefined> {
  if (!good || leavesCommand(kind) || kind === 'shrank') return good ?? archive.end;
  const end = await endOfTimeline(context, good.timeline);
  return end && end.position > good.position ? { timeline: good.timeline, position: end.position } : good;
}

async function endOfTimeline({ repository, policy }: InstanceContext, timeline: number): ReturnType<typeof endOf> {
  return endOf(await viewArchive({ repository, instance: policy.instance }), timeline);
}
