import type { ReplicationPlace } from '../../redis/psync-handshake.ts';
import type { TimelineRecord } from '../records.ts';
import type { PrimarySigns } from './primary-watch.ts';

/** What a dump that came instead of the stream means for the archive. */
export type AfterResync =
  /** It stands at a position of the same timeline. `missed`: bytes before it that nobody has; undefined: not known how many. */
  | { readonly how: 'same-timeline'; readonly missed: number | undefined; readonly note: string }
  | {
      readonly how: 'new-timeline';
      readonly why: TimelineRecord['why'];
      readonly note: string;
      /** So many bytes of what is archived last are not its past. */
      readonly undone: number;
    };

export interface Resync {
  /** Where the archive ends; undefined where that is no place of a stream. */
  readonly archived: ReplicationPlace | undefined;
  /** The history that was archived last. */
  readonly history: string | undefined;
  /** Of the server that was archived last. */
  readonly runId: string;
  /** The server was started since. */
  readonly restarted: boolean;
  /** The place that the dump stands for. */
  readonly from: ReplicationPlace;
  readonly signs: PrimarySigns;
  /** Replication ids that servers of the instance were seen with. */
  readonly known: readonly string[];
}

/** By what the server says of its history: a replication id that goes on, one that it continues, or its process. */
export function afterResync({ archived, history, runId, restarted, from, signs, known }: Resync): AfterResync {
  const ahead = archived === undefined ? undefined : from.offset - archived.offset;
  if (from.replId === history && ahead !== undefined && ahead >= 0) {
    const note = `the server’s backlog did not reach back to what was archived (repl-backlog-size): ${ahead} bytes are missing`;
    return { how: 'same-timeline', missed: ahead, note };
  }
  if (signs.runId === runId) {
    return { how: 'same-timeline', missed: undefined, note: 'the server began another replication history' };
  }
  const { previousId, previousUpTo } = signs;
  const fromArchived = from.replId === history || previousId === history;
  if (fromArchived && archived !== undefined) {
    const upTo = from.replId === history ? from.offset : (previousUpTo ?? archived.offset);
    const undone = Math.max(0, archived.offset - upTo);
    if (restarted) {
      const note = `the server was started from a file that is ${undone} bytes older than what is archived`;
      return { how: 'new-timeline', why: 'older-file', note, undone };
    }
    const note = `the server was a replica of the one that was archived${undone === 0 ? '' : `, and had not received the last ${undone} bytes`}`;
    return { how: 'new-timeline', why: 'promotion', note, undone };
  }
  if (previousId !== undefined && known.includes(previousId) && !restarted) {
    return {
      how: 'new-timeline',
      why: 'promotion',
      note: 'the server was a replica of one of the instance',
      undone: 0,
    };
  }
  const note =
    signs.keys === 0
      ? 'the server came back empty'
      : 'the server was started anew, and its replication history does not tell whether it follows what is archived';
  return { how: 'new-timeline', why: signs.keys === 0 ? 'older-file' : 'discontinuity', note, undone: 0 };
}
