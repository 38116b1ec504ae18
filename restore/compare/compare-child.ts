import { compareHere } from './compare-here.ts';
import type { CompareOrder } from './compare-keys.ts';
import type { CompareCursor, CompareFigures } from './compare-task.ts';
import { answerParent } from './own-process.ts';

/** The process behind `compareAll` and `compareSample`: one comparison, then it ends. It ends without its parent, too. */
await answerParent<CompareOrder, CompareFigures, CompareCursor>(({ task, resumeFrom }, io) =>
  compareHere(task, { ...io, resumeFrom }),
);
