import { open } from 'node:fs/promises';
import { resolve } from 'node:path';

/** Redis says why a save failed in the last few lines it wrote; its log may be huge. */
const TAIL_BYTES = 64 * 1024;

/** What rdb.c writes when a save fails: paths and the system's own words, never a key. */
const SAVE_FAILURES =
  /Can't save in background|Failed opening the (?:temp )?RDB file|Write error (?:saving DB on disk|while saving DB to the disk)|Error moving temp DB file|Background saving terminated by signal|Failed to fsync|Error trying to save the DB/i;

/**
 * Why the last save failed, in Redis' own words; undefined where its log does not tell or may not be read.
 *
 * @param logFile as CONFIG GET logfile answers; a relative one is meant from `dir`, where Redis has gone to
 */
export async function reasonInLog(logFile: string, dir = '/'): Promise<string | undefined> {
  const log = await open(resolve(dir, logFile), 'r').catch(() => undefined);
  if (!log) return undefined;
  try {
    const { size } = await log.stat();
    const length = Math.min(size, TAIL_BYTES);
    const { buffer } = await log.read({ buffer: Buffer.alloc(length), position: size - length });
    const line = buffer
      .toString('utf8')
      .split('\n')
      .findLast((each) => SAVE_FAILURES.test(each));
    return line?.replace(/^.*? [#*.-] /, '').slice(0, 300);
  } catch {
    return undefined;
  } finally {
    await log.close();
  }
}
