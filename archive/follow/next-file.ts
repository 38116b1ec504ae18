import type { Course } from './course.ts';
import type { HeldFile, HeldFiles } from './held-files.ts';
import type { Looks } from './looks.ts';

/** Whether the server appends to another file now, and to which. */
export function nextFile(
  file: HeldFile,
  course: Course,
  looks: Looks,
  held: HeldFiles,
): { ended: boolean; next?: HeldFile } {
  const incrs = looks.files?.incrs;
  if (!incrs) return { ended: false };
  const at = incrs.findIndex(({ id }) => id === file.id);
  if (at >= 0) return at === incrs.length - 1 ? { ended: false } : { ended: true, next: incrs[at + 1]! };
  const all = held.all().filter(({ type, seq }) => type === 'incr' && seq === file.seq + 1);
  const next = all.find((each) => looks.followed(file, each)) ?? all.find((each) => followsBySigns(each, course));
  return { ended: true, ...(next ? { next } : {}) };
}

/**
 * A rewrite that was over between two looks. That the file was not switched off and on instead, which leaves the same
 * names, shows by nobody having called CONFIG SET.
 */
function followsBySigns(next: HeldFile, { place, signs }: Course): boolean {
  const { runId, configSets, lastSeq } = place;
  return (
    signs !== undefined &&
    signs.role === 'primary' &&
    // The figures are from before the file ended, or the next one was gone on with already.
    lastSeq !== undefined &&
    lastSeq <= next.seq &&
    signs.runId === runId &&
    signs.configSets === configSets
  );
}
