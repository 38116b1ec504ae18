import type { ErrorEntry } from './entry.ts';

export const processErrors = {} as const satisfies Record<string, ErrorEntry>;
