import type { FollowFigures, FoundDestructive } from '../follow/follow-options.ts';
import type { GoodMoment } from './told-loss.ts';

const mostFound = 64;

/** What the follower beside the watch has said: how far the archive is, and which commands stand in it that destroy. */
export class SeenArchive {
  #end: GoodMoment | undefined;
  #found: readonly FoundDestructive[] = [];
  readonly #lateMs: number;

  /** @param lateMs so much later than it happened a thing may be seen */
  constructor(lateMs: number) {
    this.#lateMs = lateMs;
  }

  /** With what is not in the store yet; undefined before it follows. */
  get end(): GoodMoment | undefined {
    return this.#end;
  }

  figures({ timeline, position, unshippedBytes }: FollowFigures): void {
    if (timeline > 0) this.#end = { timeline, position: position + unshippedBytes };
  }

  destructive(found: FoundDestructive): void {
    this.#found = [...this.#found, found].slice(-mostFound);
  }

  /** Those behind where the archive was at a moment; where that is not known, by its time. */
  since(before: { readonly atMs: number; readonly end?: GoodMoment }): FoundDestructive[] {
    const { atMs, end } = before;
    if (!end) return this.#found.filter(({ timeMs }) => timeMs >= atMs - this.#lateMs);
    const { timeline, position } = end;
    return this.#found.filter(
      (found) => found.timeline > timeline || (found.timeline === timeline && found.position >= position),
    );
  }

  /** Those that were seen since a moment, Unix ms. */
  seenSince(atMs: number): FoundDestructive[] {
    return this.#found.filter(({ timeMs }) => timeMs >= atMs);
  }
}
