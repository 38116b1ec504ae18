import type { ErrorEntry } from './entry.ts';

export const backupErrors = {} as const satisfies Record<string, ErrorEntry>;
