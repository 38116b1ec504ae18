import type { ErrorEntry } from './entry.ts';

export const repositoryErrors = {} as const satisfies Record<string, ErrorEntry>;
