// Turns automatic rewrites off and stays so. Argument: QuietRewrites as JSON.
import { withQuietRewrites } from '../../restore/quiet-rewrites.ts';

await withQuietRewrites(
  JSON.parse(process.argv[2] as string),
  () => new Promise((settle) => setTimeout(settle, 600_000)),
);
