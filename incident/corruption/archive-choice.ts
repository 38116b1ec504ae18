import type { ArchivedState } from './archived-state.ts';
import type { CorruptionChoice } from './choices.ts';
import type { Diagnosis } from './diagnosis.ts';

/** `CorruptionChoice.id` of the state as the archive has it. */
export const FROM_ARCHIVE = 'archive';

/**
 * The archive as a way out of damage: what it has up to its end, and behind that what still follows on the disk. Where the
 * damage lies in what is archived, nothing is lost. Pure.
 *
 * @param lastWriteMs the last write that is known of
 */
export function archiveChoice(
  { moment, tail, upTo, losesCommands, unknown }: ArchivedState,
  { form }: Diagnosis,
  lastWriteMs: number,
): CorruptionChoice {
  const behind = tail.reduce((sum, { commands }) => sum + commands, 0);
  const where = `${new Date(moment.timeMs).toISOString()} (position ${moment.position}, timeline ${moment.timeline})`;
  const then = behind === 0 ? '' : `, and the ${behind} commands that follow on the disk`;
  const text = `The state as of ${where} from the archive${then}.`;
  const always =
    form === 'rdb' ? [...unknown, 'What was written while the append-only file was off is in no archive.'] : unknown;
  if (upTo === undefined) {
    return {
      id: FROM_ARCHIVE,
      text,
      loses: unknown.length === 0 ? 'nothing' : `nothing that is known of. ${unknown.join(' ')}`,
      losesKeys: 0,
      losesCommands: 0,
      losesSeconds: 0,
      unknown: always,
    };
  }
  const losesSeconds = Math.max(0, Math.round((lastWriteMs - Date.parse(upTo)) / 1000));
  const readable = losesCommands === 0 ? '' : `, of that ${losesCommands} commands that can still be read`;
  return {
    id: FROM_ARCHIVE,
    text,
    loses: `what was written after ${upTo} (${losesSeconds} s)${readable}`,
    losesCommands,
    losesSeconds,
    unknown: always,
  };
}
