import type { CrashChoice } from './choice.ts';
import { newestProven } from './compare-local.ts';
import { followersOfPrimary, primaryItself } from './copies.ts';
import type { CrashFacts } from './facts.ts';
import { lossOf } from './loss-of.ts';
import { timeWords } from './words.ts';

/** To use the end of its archive: on this host, or on another instance where the host is gone. */
export function archiveChoices(facts: CrashFacts): CrashChoice[] {
  if (!archiveIsNewest(facts)) return [];
  if (facts.hostLost) return (facts.otherInstances ?? []).map((name) => ofArchive(facts, 'other-instance', name));
  const detachFirst = followersOfPrimary(facts.survey).map(({ address }) => address);
  const choice = ofArchive(facts, 'archive');
  if (detachFirst.length === 0) return [choice];
  const before = `Before that ${detachFirst.join(', ')} ${detachFirst.length === 1 ? 'is' : 'are'} taken off it.`;
  return [{ ...choice, text: `${choice.text} ${before}`, detachFirst }];
}

/** What `latest` means then: a proven backup that is newer has all that the archive has. */
export function archiveIsNewest({ archive, backups }: CrashFacts): boolean {
  const proven = newestProven(backups);
  return archive !== undefined && (proven === undefined || Date.parse(archive.endAt) > Date.parse(proven.time));
}

/** A dump's time has whole seconds, and bytes are seen a moment after they were written. */
const sameMs = 2_000;

/** True where its archive has writes that the dump it would load has not. With an append-only file it has all that was sent. */
export function archiveIsAhead({ archive, local }: CrashFacts): boolean {
  if (archive === undefined || local?.loads !== 'dump' || local.holdsUntil === undefined) return false;
  return Date.parse(archive.endAt) - Date.parse(local.holdsUntil.at) > sameMs;
}

function ofArchive(facts: CrashFacts, kind: 'archive' | 'other-instance', target?: string): CrashChoice {
  const { endAt, destroyedAt } = facts.archive!;
  const safeUntil = { at: endAt, source: 'the end of its archive' };
  const what = `the end of its archive (${timeWords(endAt)})`;
  const warning =
    destroyedAt === undefined
      ? ''
      : ` At ${timeWords(destroyedAt)} a command took away much of the data, and it is in there: look at \`rewind timeline\`.`;
  const way =
    kind === 'other-instance'
      ? `The host is gone: restore ${what} into ${target}.`
      : `${primaryItself(facts.survey) ? `Put ${what} back into it` : `Start it from ${what}`}, proven by loading it first.`;
  return {
    id: target === undefined ? kind : `${kind}:${target}`,
    kind,
    ...(target === undefined ? {} : { target }),
    text: `${way}${warning}`,
    ...lossOf(facts, safeUntil, 'had not reached the archive'),
    safeUntil,
  };
}
