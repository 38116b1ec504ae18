import { answerParent } from '../compare/own-process.ts';
import type { DiffOrder, DiffResult } from './diff-contents.ts';
import { diffHere } from './diff-here.ts';

/** The process behind `diffContents`: one diff, then it ends. It ends without its parent, too. */
await answerParent<DiffOrder, DiffResult, never>(({ a, b, options }, io) => diffHere(a, b, options, io));
