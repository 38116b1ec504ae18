import { open } from 'node:fs/promises';

const tailBytes = 64 * 1024;

/** Length of a log now, in bytes: what is said later stands after it. 0 where there is none. */
export async function logLength(path: string): Promise<number> {
  const file = await open(path, 'r').catch(() => undefined);
  try {
    return (await file?.stat())?.size ?? 0;
  } finally {
    await file?.close();
  }
}

/**
 * The last lines of a server's log, without what stands in quotes: names of keys, words of its configuration. Empty where
 * it cannot be read.
 *
 * @param since byte to begin at, as {@link logLength} answered it; only the end of a longer log is read
 */
export async function lastLogLines(path: string, count: number, since = 0): Promise<string[]> {
  const file = await open(path, 'r').catch(() => undefined);
  if (!file) return [];
  try {
    const { size } = await file.stat();
    // A log that is shorter than it was has been rotated: all of it is new.
    const from = Math.max(size < since ? 0 : since, size - tailBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - from), 0, size - from, from);
    return withoutNames(buffer.toString('utf8', 0, bytesRead)).slice(-count);
  } catch {
    return [];
  } finally {
    await file.close();
  }
}

/** Lines that are not empty, each without what stands in quotes. */
export function withoutNames(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.replace(/'[^']*'|"[^"]*"/g, '‹…›').trim())
    .filter((line) => line !== '');
}

/**
 * What of a log says why a server did not start: its warnings (`#`) and what it says before it has a log, in its own
 * words. Undefined where nothing does.
 */
export function reasonIn(lines: readonly string[]): string | undefined {
  const warnings = lines
    .filter((line) => / # /.test(line))
    .map((line) => line.replace(/^\d+:[A-Z] .*? # /, ''))
    .filter((line) => !notAReason.test(line));
  // Before it has a log it prints what is wrong with its configuration; after a load that failed, what its checker found.
  const printed = lines.filter((line) => !/^\d+:[A-Z] |^\[|^[-=*]{3}|[_|`.-]{4}/.test(line));
  const words = warnings.length > 0 ? warnings : printed;
  return words.length === 0 ? undefined : words.slice(-3).join('; ');
}

const notAReason =
  /^WARNING|oO0O|^(Redis|Valkey) version=|Configuration loaded|Server initialized|Warning: no config file|supervised/i;
