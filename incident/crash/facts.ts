import type { BackupEntry } from '../../repository/catalogue.ts';
import type { ArchiveEnd } from './archive-end.ts';
import type { CopiesSurvey } from './copies.ts';
import type { LocalFiles } from './local-files.ts';
import type { DeathExplanation } from './why-it-died.ts';

/** All that is known when it is decided how a crashed node comes back. Plain data. */
export interface CrashFacts {
  readonly survey: CopiesSurvey;
  /** Absent where the host was not reached, or it is not known where its files are. */
  readonly local?: LocalFiles;
  /** The host itself is gone: nothing can be started there. */
  readonly hostLost?: boolean;
  readonly death?: DeathExplanation;
  /** The catalogue, in any order. */
  readonly backups: readonly BackupEntry[];
  /** Absent where there is none that anything can be restored from. */
  readonly archive?: ArchiveEnd;
  /** Names of configured instances that could take the data when the host is gone. */
  readonly otherInstances?: readonly string[];
  /** The last time that something of ours saw it answer, ISO 8601. */
  readonly lastSeenAt?: string;
  /** The policy's `backup.flagBelow`, 0 to 1. */
  readonly flagBelow?: number;
}

/** A moment and whose word it is. */
export interface Moment {
  readonly at: string;
  readonly source: string;
}
