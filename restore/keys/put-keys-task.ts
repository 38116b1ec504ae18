import type { RedisTarget } from '../../redis/connection.ts';
import type { TtlMode } from './expiry-rule.ts';
import type { KeySelection } from './key-selection.ts';
import type { FunctionsMode } from './libraries.ts';
import type { PutLimits } from './rate-limit.ts';

/** What becomes of a key that the live server has already. */
export type OnConflict = 'keep-live' | 'take-backup';

/** Everything about a restore of keys. Plain data: it goes from one process to another. */
export interface PutKeysTask {
  /** A whole dump on local disk whose SHA-256 was compared already. */
  readonly dumpPath: string;
  readonly target: RedisTarget;
  readonly selection: KeySelection;
  readonly ttl: TtlMode;
  /** For `shift`: by how much every expiry moves, ms. Fields of hashes keep their own. */
  readonly shiftMs: number;
  readonly onConflict: OnConflict;
  readonly functions: FunctionsMode;
  /**
   * A local file that lists the keys that were there already, see `ConflictNames`; beside it `<namesFile>.cursor`. Of one
   * restore only: that it exists says that an attempt was made before.
   */
  readonly namesFile: string;
  /** Slices of the dump as RESTORE payloads; or write commands, for an older server or the other fork. */
  readonly by: 'slices' | 'commands';
  readonly limits: PutLimits;
}
