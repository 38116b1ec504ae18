import { existsSync } from 'node:fs';
import { RewindError } from '../errors/rewind-error.ts';
import { type FoundPart, foundPart, type MissingPart, partsFile } from '../process/found-parts.ts';

/** The bootstrap is plain JavaScript, so that it can run before everything else; this is what is used of it here. */
interface Bootstrap {
  provide(
    what: { needed: readonly string[]; wanted: readonly string[] },
    file: string,
  ): Promise<{ parts: Record<string, FoundPart | MissingPart>; missing: string[] }>;
}

/**
 * Sees to it that parts are there before they are asked for by `foundPart`. `npm start` has done so; the published package has nobody
 * before it, and a cache may have been emptied since.
 *
 * @throws RewindError PART_UNAVAILABLE with what each way said
 */
export async function provideParts(names: readonly string[]): Promise<void> {
  const needed = names.filter((name) => !isThere(name));
  if (needed.length === 0) return;
  const script = new URL('../scripts/bootstrap/main.mjs', import.meta.url).href;
  const { provide } = (await import(script)) as Bootstrap;
  const { parts, missing } = await provide({ needed, wanted: [] }, partsFile());
  const reasons = missing.map((name) => `${name}: ${(parts[name] as MissingPart).unavailable}`);
  if (reasons.length > 0) throw new RewindError('PART_UNAVAILABLE', reasons.join('; '));
}

function isThere(name: string): boolean {
  try {
    return existsSync(foundPart(name).path);
  } catch (error) {
    if (error instanceof RewindError) return false;
    throw error;
  }
}
