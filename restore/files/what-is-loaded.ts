import { join } from 'node:path';
import { exists } from './durable-files.ts';
import { isMultiPart, type StartFiles } from './file-form.ts';

/** What a server will have in memory once it has started on these files. */
export interface LoadedAtStart {
  readonly from: 'dump' | 'append-only-file' | 'nothing';
  /** Absolute; of the manifest, where the append-only file has several parts. */
  readonly path?: string;
  /** A sentence. */
  readonly why: string;
}

/**
 * What a server would load if it were started now. Looked at before every start: with the append-only file on, dump.rdb is
 * ignored, and where the manifest is missing the server starts empty and says nothing (aof.c).
 */
export async function whatIsLoaded(
  files: StartFiles,
  server: { readonly name: string; readonly version: string },
): Promise<LoadedAtStart> {
  if (!files.appendonly) {
    const path = join(files.dir, files.dbfilename);
    return (await exists(path))
      ? { from: 'dump', path, why: `The append-only file is off: it loads ${path}.` }
      : { from: 'nothing', why: `The append-only file is off, and ${path} is not there: it starts empty.` };
  }
  const onePiece = join(files.dir, files.appendfilename);
  if (isMultiPart(server)) {
    const manifest = join(files.dir, files.appenddirname, `${files.appendfilename}.manifest`);
    if (await exists(manifest)) {
      return {
        from: 'append-only-file',
        path: manifest,
        why: `The append-only file is on: it loads what ${manifest} names.`,
      };
    }
    if (!(await exists(onePiece))) {
      return {
        from: 'nothing',
        why: `The append-only file is on, and ${manifest} is not there: it ignores ${files.dbfilename} and starts empty.`,
      };
    }
    return {
      from: 'append-only-file',
      path: onePiece,
      why: `The append-only file is on: it takes over ${onePiece} of an older version.`,
    };
  }
  return (await exists(onePiece))
    ? { from: 'append-only-file', path: onePiece, why: `The append-only file is on: it loads ${onePiece}.` }
    : {
        from: 'nothing',
        why: `The append-only file is on, and ${onePiece} is not there: it ignores ${files.dbfilename} and starts empty.`,
      };
}
