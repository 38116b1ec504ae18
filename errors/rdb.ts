import type { ErrorEntry } from './entry.ts';

export const rdbErrors = {} as const satisfies Record<string, ErrorEntry>;
