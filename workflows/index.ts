export { instanceOwner } from './instance-owner.ts';
export { scheduledBackup } from './scheduled-backup.ts';
