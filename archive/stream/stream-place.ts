import type { ReplicationPlace } from '../../redis/psync-handshake.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Tip } from '../follow/tip.ts';
import { readBase } from '../read/records.ts';

/** What `file.name` says of bytes that came by replication: of which history, so that `file.offset` is an offset in it. */
export const streamName = (replId: string): string => `replication-${replId}`;

/** @returns undefined for an append-only file's name */
export const replIdOf = (fileName: string | undefined): string | undefined =>
  /^replication-([0-9a-zA-Z]{40})$/.exec(fileName ?? '')?.[1];

/**
 * Where the archive ends, as a server has to be asked to go on from there.
 *
 * @returns undefined where what is archived last came from an append-only file, or nothing stands behind a gap yet
 */
export async function placeAtTip(
  repository: Repository,
  instance: string,
  { timeline, last, behindGap, bases, position }: Tip,
): Promise<ReplicationPlace | undefined> {
  if (last && !behindGap) {
    const { file, start, end } = last.header;
    return placeOf(file.name, file.offset + end - start);
  }
  if (bases.has(position)) {
    const { replication } = await readBase({ repository, instance }, timeline.timeline, position);
    return replication && { replId: replication.id, offset: replication.offset };
  }
  return timeline.file && !last ? placeOf(timeline.file.name, timeline.file.offset) : undefined;
}

/** The replication history that was archived last; also where it cannot be gone on with. */
export const historyAtTip = ({ last, timeline }: Tip): string | undefined =>
  replIdOf(last?.header.file.name) ?? replIdOf(timeline.file?.name) ?? timeline.server.replicationId;

function placeOf(name: string, offset: number): ReplicationPlace | undefined {
  const replId = replIdOf(name);
  return replId === undefined ? undefined : { replId, offset };
}
