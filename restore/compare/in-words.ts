import type { CompareFigures } from './compare-task.ts';

/** What a comparison found, in sentences for a report: what is known, and what cannot be. */
export function comparisonInWords(figures: CompareFigures): string[] {
  const { same, differing, missing, changedSince, goneSince, expired, unreadable, kept } = figures;
  const told = [`${keys(same)} ${same === 1 ? 'has' : 'have'} the content of the backup.`];
  if (differing > 0) told.push(`${keys(differing)} ${differing === 1 ? 'differs' : 'differ'} from the backup.`);
  if (missing > 0) told.push(`${keys(missing)} of the backup ${missing === 1 ? 'is' : 'are'} missing.`);
  if (changedSince > 0) {
    told.push(
      `${keys(changedSince)} ${changedSince === 1 ? 'is' : 'are'} other than in the backup: written since the restore as far as can be told, because others may write since.`,
    );
  }
  if (goneSince > 0) {
    told.push(
      `${keys(goneSince)} of the backup ${goneSince === 1 ? 'is' : 'are'} not there: deleted since the restore as far as can be told, because others may write since.`,
    );
  }
  if (expired > 0) told.push(`${keys(expired)} of the backup ${expired === 1 ? 'has' : 'have'} expired.`);
  if (kept > 0) told.push(`${keys(kept)} that ${kept === 1 ? 'was' : 'were'} live before and kept were not compared.`);
  if (unreadable > 0) {
    told.push(
      `${keys(unreadable)} ${unreadable === 1 ? 'is' : 'are'} there and of types that cannot be compared by content.`,
    );
  }
  return told;
}

const keys = (count: number): string => `${count} ${count === 1 ? 'key' : 'keys'}`;
