import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Notes on the agent's own disk that it has just reached its server: after a crash this is when it was last seen alive. */
export async function noteSeen({ home, instance }: { home: string; instance: string }): Promise<void> {
  const path = noteOf(home, instance);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.part`, JSON.stringify({ at: new Date().toISOString() }), { mode: 0o600 });
  await rename(`${path}.part`, path);
}

/** @returns ISO 8601; undefined where it was never noted, or the note cannot be read */
export async function lastSeen({ home, instance }: { home: string; instance: string }): Promise<string | undefined> {
  try {
    const { at } = JSON.parse(await readFile(noteOf(home, instance), 'utf8')) as { at?: unknown };
    return typeof at === 'string' && !Number.isNaN(Date.parse(at)) ? at : undefined;
  } catch {
    return undefined;
  }
}

const noteOf = (home: string, instance: string): string => join(home, 'seen', `${instance}.json`);
