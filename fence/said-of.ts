import { RewindError } from '../errors/rewind-error.ts';

/** What an error may say to a person: the words of a server could repeat a rule of a user. */
export function saidOf(error: unknown): string {
  if (error instanceof RewindError) return error.message;
  return error instanceof Error ? `${error.name}: ${error.message.split(' ')[0] ?? ''}` : 'unknown';
}
