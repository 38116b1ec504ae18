export { checkInstance } from './check-instance.ts';
export { instanceOwner } from './instance-owner.ts';
export { recoverAccidentalFlush } from './recover-accidental-flush.ts';
export { recoverNodeCrash } from './recover-node-crash.ts';
export { restoreToPoint } from './restore-to-point.ts';
export { scheduledBackup } from './scheduled-backup.ts';
export { unfenceInstance } from './unfence-instance.ts';
export { verifyBackup } from './verify-backup.ts';
