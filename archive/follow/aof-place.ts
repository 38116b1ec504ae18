import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { pinFolder } from '../../backup/pin.ts';

/** Where a server keeps its append-only files, and what of it is remembered for when it does not answer. */
const placeSchema = z.object({
  formatVersion: z.literal(1),
  /** Redis' `dir`; absolute. */
  redisDir: z.string().min(1),
  appendDirName: z.string().min(1),
  appendFileName: z.string().min(1),
  /** Of the instance. */
  identity: z.uuid(),
  runId: z.string(),
  replicationId: z.string().optional(),
  /** The incr that was appended to. */
  lastFile: z.string().optional(),
  lastSeq: z.int().optional(),
  /** What that process counted while it appended to that file, or one before; absent where that was not seen. See `ServerSigns.switches`. */
  switches: z.int().nonnegative().optional(),
});
export type AofPlace = z.output<typeof placeSchema>;

export const appendDir = ({ redisDir, appendDirName }: AofPlace): string => join(redisDir, appendDirName);
export const manifestName = ({ appendFileName }: AofPlace): string => `${appendFileName}.manifest`;
/** Links to files that are not shipped. */
export const heldFolder = ({ redisDir }: AofPlace): string => join(pinFolder(redisDir), 'aof');
/** Of whoever follows. */
export const lockFolder = ({ redisDir }: AofPlace): string => join(pinFolder(redisDir), 'aof-lock');

const pathOf = (home: string, instance: string): string => join(home, 'archive', `${instance}.json`);

/** What the last follower with this home knew; undefined where there was none. */
export async function rememberedPlace(home: string, instance: string): Promise<AofPlace | undefined> {
  try {
    return placeSchema.parse(JSON.parse(await readFile(pathOf(home, instance), 'utf8')));
  } catch {
    // Missing or torn: Redis has to be asked.
    return undefined;
  }
}

export async function rememberPlace(home: string, instance: string, place: AofPlace): Promise<void> {
  const path = pathOf(home, instance);
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.new`, `${JSON.stringify(place)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
}
