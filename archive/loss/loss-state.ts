import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { lossKinds } from './judge-loss.ts';

const count = z.int().nonnegative();
const timeMs = z.int().nonnegative();
const place = z.object({ timeline: z.int().positive(), position: count });
const database = z.string().regex(/^\d{1,5}$/);

const sampleSchema = z.object({
  ...{ atMs: timeMs, runId: z.string().max(64), primary: z.boolean(), keys: z.record(database, count) },
  ...{ went: count, taken: count, removals: count, flushall: count, flushdb: count, swapdb: count },
});

const noticedSchema = z.object({
  /** Of the loss: the same however often it is told. */
  id: z.string().max(64),
  kind: z.enum(lossKinds),
  command: z.string().max(32).optional(),
  ...{ keysBefore: count, keysNow: count, keysLost: count, databases: z.array(count).max(16_384) },
  goodMs: timeMs,
  /** When it was noticed. */
  timeMs,
  /** When the last thing that belongs to it was noticed. */
  lastMs: timeMs,
  /** Nobody watched for so long before it that writing goes on after it since long: it is told, and nothing is fenced. */
  late: z.boolean().optional(),
  /** Where the archive was when all was there the last time. */
  good: place.optional(),
  /** Right before the command, where the file has told it. */
  exact: place.extend({ timeMs }).optional(),
  /** What was done about it. */
  told: z.boolean(),
  pinned: z.boolean(),
  /** The product itself did it: nothing is done. */
  own: z.string().max(200).optional(),
});
/** A loss as the watch keeps it until all is done about it, and the last one longer. */
export type NoticedLoss = z.output<typeof noticedSchema>;

const stateSchema = z.object({
  formatVersion: z.literal(1),
  identity: z.uuid(),
  sample: sampleSchema.optional(),
  /** Where the archive was at the sample. */
  end: place.optional(),
  /** Databases that a SWAPDB put out of service, by when. */
  swappedOut: z.record(database, timeMs),
  loss: noticedSchema.optional(),
});
export type LossState = z.output<typeof stateSchema>;

const pathOf = (home: string, instance: string): string => join(home, 'archive', `${instance}-loss.json`);

/** What the last watch with this home saw; undefined where there was none, or of another instance. */
export async function readLossState(home: string, instance: string, identity: string): Promise<LossState | undefined> {
  try {
    const state = stateSchema.parse(JSON.parse(await readFile(pathOf(home, instance), 'utf8')));
    return state.identity === identity ? state : undefined;
  } catch {
    // Missing or torn: what was before is not known, and so no loss.
    return undefined;
  }
}

/** @param durably it has to outlive the machine */
export async function writeLossState(
  home: string,
  instance: string,
  state: LossState,
  durably: boolean,
): Promise<void> {
  const path = pathOf(home, instance);
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(state)}\n`);
    if (durably) await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
