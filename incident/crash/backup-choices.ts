import type { BackupEntry } from '../../repository/catalogue.ts';
import { archiveIsNewest } from './archive-choices.ts';
import type { CrashChoice } from './choice.ts';
import { newestProven } from './compare-local.ts';
import { followersOfPrimary, primaryItself } from './copies.ts';
import type { CrashFacts } from './facts.ts';
import { lossOf } from './loss-of.ts';
import { keyCount, timeWords } from './words.ts';

/** Backups that a gate offers: the newest, and one to fall back on. */
const BACKUPS = 2;

/** To use a backup: on this host, or on another instance where the host is gone. */
export function backupChoices(facts: CrashFacts): CrashChoice[] {
  const proven = facts.backups.filter(({ state }) => state === 'verified').sort((a, b) => (a.time < b.time ? 1 : -1));
  const best = newestProven(facts.backups);
  const offered = [...new Set([best, ...proven])].filter((each) => each !== undefined).slice(0, BACKUPS);
  const followers = followersOfPrimary(facts.survey).map(({ address }) => address);
  if (facts.hostLost) {
    // Into another instance goes the newest that there is.
    if (archiveIsNewest(facts)) return [];
    return best ? (facts.otherInstances ?? []).map((name) => ofBackup(facts, best, 'other-instance', name)) : [];
  }
  return offered.map((backup) => {
    const choice = ofBackup(facts, backup, 'backup', backup.id);
    if (followers.length === 0) return choice;
    const again = facts.survey.sentinels ? ', until the Sentinels make them follow again' : '';
    const text = `${choice.text} Before that ${followers.join(', ')} ${followers.length === 1 ? 'is' : 'are'} taken off it and ${followers.length === 1 ? 'keeps' : 'keep'} the data${again}.`;
    return { ...choice, text, detachFirst: followers };
  });
}

function ofBackup(
  facts: CrashFacts,
  backup: BackupEntry,
  kind: 'backup' | 'other-instance',
  target: string,
): CrashChoice {
  const safeUntil = { at: backup.time, source: `the begin of the backup ${backup.id}` };
  const flagged = backup.flagged ? ` It is flagged: ${backup.flagged}` : '';
  const what = `the backup of ${timeWords(backup.time)} (${keyCount(backup.keys)}, proven)`;
  return {
    id: `${kind}:${target}`,
    kind,
    target,
    text:
      kind === 'backup'
        ? `${primaryItself(facts.survey) ? `Put ${what} back into it` : `Start it from ${what}`}.${flagged}`
        : `The host is gone: restore ${what} into ${target}.${flagged}`,
    ...lossOf(facts, safeUntil, 'came after that backup'),
    keys: backup.keys,
    safeUntil,
  };
}
