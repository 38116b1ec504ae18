import type { ErrorEntry } from './entry.ts';

export const configErrors = {} as const satisfies Record<string, ErrorEntry>;
