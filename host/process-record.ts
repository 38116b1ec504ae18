import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The server that the agent started itself, so that any later agent process knows its own from another. */
export interface ProcessRecord {
  readonly pid: number;
  /** What tells it from a later process with the same pid (process/process-identity.ts). */
  readonly identity: string | undefined;
  readonly startedAt: string;
  /** Length of its log when it was started. */
  readonly logFrom: number;
  /** True once it was told to end. */
  readonly told?: boolean;
  /** As its parent saw it end; absent where nobody was there to see it. */
  readonly exit?: { readonly code: number | null; readonly signal: string | null; readonly at: string };
}

export async function readRecord(path: string): Promise<ProcessRecord | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as ProcessRecord;
  } catch (error) {
    // One that cannot be read is as good as none: whose process runs then is not known, and it is left alone.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** By path: changes of one record come one after the other, because its server may end while it is being stopped. */
const pending = new Map<string, Promise<unknown>>();

/**
 * Changes a record, whole or not at all.
 *
 * @param change answers undefined where the record is another server's by now: then it stays
 */
export function changeRecord(
  path: string,
  change: (now: ProcessRecord | undefined) => ProcessRecord | undefined,
): Promise<void> {
  const changed = (pending.get(path) ?? Promise.resolve()).then(async () => {
    const record = change(await readRecord(path));
    if (record !== undefined) await writeRecord(path, record);
  });
  pending.set(
    path,
    changed.catch(() => undefined),
  );
  return changed;
}

/** Ends when no change of this process is under way. */
export async function recordSettled(path: string): Promise<void> {
  await pending.get(path);
}

async function writeRecord(path: string, record: ProcessRecord): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${randomBytes(6).toString('hex')}.part`;
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(record)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
