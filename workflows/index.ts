export { checkInstance } from './check-instance.ts';
export { instanceOwner } from './instance-owner.ts';
export { scheduledBackup } from './scheduled-backup.ts';
export { verifyBackup } from './verify-backup.ts';
