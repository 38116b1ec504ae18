import { aofErrors } from './aof.ts';
import { archiveErrors } from './archive.ts';
import { backupErrors } from './backup.ts';
import { configErrors } from './config.ts';
import { corruptionErrors } from './corruption.ts';
import type { ErrorEntry } from './entry.ts';
import { fenceErrors } from './fence.ts';
import { flushReplayErrors } from './flush-replay.ts';
import { gateErrors } from './gate.ts';
import { hostErrors } from './host.ts';
import { incidentErrors } from './incident.ts';
import { processErrors } from './process.ts';
import { rdbErrors } from './rdb.ts';
import { redisErrors } from './redis.ts';
import { repositoryErrors } from './repository.ts';
import { restoreErrors } from './restore.ts';
import { restoreCompareErrors } from './restore-compare.ts';
import { restoreKeysErrors } from './restore-keys.ts';
import { restoreNativeErrors } from './restore-native.ts';
import { sandboxErrors } from './sandbox.ts';
import { shipAofErrors } from './ship-aof.ts';
import { temporalErrors } from './temporal.ts';

const all = {
  ...configErrors,
  ...redisErrors,
  ...rdbErrors,
  ...aofErrors,
  ...archiveErrors,
  ...shipAofErrors,
  ...flushReplayErrors,
  ...corruptionErrors,
  ...repositoryErrors,
  ...sandboxErrors,
  ...backupErrors,
  ...gateErrors,
  ...fenceErrors,
  ...hostErrors,
  ...incidentErrors,
  ...restoreErrors,
  ...restoreCompareErrors,
  ...restoreKeysErrors,
  ...restoreNativeErrors,
  ...processErrors,
  ...temporalErrors,
} as const;

export type ErrorCode = keyof typeof all;

/** Every error code of the product, one place; docs/ERRORS.md is made from it. */
export const errorCatalogue: Readonly<Record<ErrorCode, ErrorEntry>> = all;
