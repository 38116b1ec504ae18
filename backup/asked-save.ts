import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Which save of which backup, as often as it is asked for anew. */
export interface AskedSave {
  readonly home: string;
  readonly instance: string;
  /** The same for each attempt at the same save, and for no other one. */
  readonly save: string;
}

interface Note {
  readonly save: string;
  readonly startedAt: number;
}

/**
 * The second at which Redis was asked for this save, where this agent was killed after that. One note an instance: the next
 * save writes over it.
 */
export async function readAsked({ home, instance, save }: AskedSave): Promise<number | undefined> {
  try {
    const note = JSON.parse(await readFile(noteOf(home, instance), 'utf8')) as Partial<Note>;
    return note.save === save && Number.isSafeInteger(note.startedAt) ? note.startedAt : undefined;
  } catch {
    // Not there, or cut off by a full disk: Redis is asked once more, which does no harm.
    return undefined;
  }
}

/** Writes the second down before Redis is asked; whole or not at all. */
export async function noteAsked({ home, instance, save }: AskedSave, startedAt: number): Promise<void> {
  const path = noteOf(home, instance);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.part`, JSON.stringify({ save, startedAt } satisfies Note), { mode: 0o600 });
  await rename(`${path}.part`, path);
}

const noteOf = (home: string, instance: string): string => join(home, 'saves', `${instance}.json`);
