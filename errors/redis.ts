import type { ErrorEntry } from './entry.ts';

export const redisErrors = {} as const satisfies Record<string, ErrorEntry>;
