import { RewindError } from '../errors/rewind-error.ts';

/**
 * Stores what only the first one may store. @returns false where its name is taken, with other bytes
 *
 * @throws every other error of the store
 */
export async function unlessTaken(put: () => Promise<unknown>): Promise<boolean> {
  try {
    await put();
    return true;
  } catch (error) {
    if (error instanceof RewindError && error.code === 'OBJECT_EXISTS') return false;
    throw error;
  }
}
