import type { HeldFile, HeldFiles } from './held-files.ts';
import type { Looks } from './looks.ts';

/** Whether the server appends to another file now, and to which, where a manifest was seen that names both. */
export function nextFile(file: HeldFile, looks: Looks, held: HeldFiles): { ended: boolean; next?: HeldFile } {
  const incrs = looks.files?.incrs;
  if (!incrs) return { ended: false };
  const at = incrs.findIndex(({ id }) => id === file.id);
  if (at >= 0) return at === incrs.length - 1 ? { ended: false } : { ended: true, next: incrs[at + 1]! };
  const next = successors(file, held).find((each) => looks.followed(file, each));
  return { ended: true, ...(next ? { next } : {}) };
}

/** The files that have the next number: more than one where another server was started in the same folder. */
export const successors = (file: HeldFile, held: HeldFiles): HeldFile[] =>
  held.all().filter(({ type, seq }) => type === 'incr' && seq === file.seq + 1);
