import { defineSearchAttributeKey } from '@temporalio/common';

/** By these, not by parsing ids, commands find runs. Registered at every worker's start. */
export const searchAttributes = {
  instance: defineSearchAttributeKey('RewindInstance', 'KEYWORD'),
  phase: defineSearchAttributeKey('RewindPhase', 'KEYWORD'),
  outcome: defineSearchAttributeKey('RewindOutcome', 'KEYWORD'),
  backupId: defineSearchAttributeKey('RewindBackupId', 'KEYWORD'),
} as const;
