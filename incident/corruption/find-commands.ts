import { open } from 'node:fs/promises';
import { isKnownCommand } from '../../aof/command-names.ts';
import type { StepIO } from '../../process/step-io.ts';

const windowBytes = 8 * 1024 * 1024;
/** Commands are looked for in the window's first part: what they need should still be in it. */
const triedBytes = 4 * 1024 * 1024;
/** So many whole commands of known names in a row, or all up to the file's end, are no accident. */
const enoughCommands = 8;

/**
 * Finds where commands begin again behind damage: the first `*` from which a run of them is well-formed. A value that
 * itself holds many commands in this form cannot be told from them where its own head is damaged.
 *
 * @param to the file's end
 */
export async function findCommands(path: string, from: number, to: number, io: StepIO): Promise<number | undefined> {
  const window = Buffer.allocUnsafe(windowBytes);
  const file = await open(path, 'r');
  try {
    for (let base = from; base < to; ) {
      io.signal.throwIfAborted();
      io.onProgress({ phase: 'search', done: base, total: to, unit: 'bytes' });
      const wanted = Math.min(window.length, to - base);
      const { bytesRead } = await file.read(window, 0, wanted, base);
      if (bytesRead < wanted) return undefined;
      const fileEnds = base + bytesRead >= to;
      const last = fileEnds ? bytesRead : triedBytes;
      for (let at = window.indexOf('*'); at >= 0 && at < last; at = window.indexOf('*', at + 1)) {
        if (at >= bytesRead) break;
        if (commandsBegin(window, at, bytesRead, fileEnds)) return base + at;
      }
      base += last;
    }
    return undefined;
  } finally {
    await file.close();
  }
}

function commandsBegin(bytes: Buffer, at: number, to: number, fileEnds: boolean): boolean {
  let p = at;
  for (let commands = 0; commands < enoughCommands; commands++) {
    if (p === to && fileEnds) return commands > 0;
    while (bytes[p] === 0x23) {
      const end = bytes.indexOf('\n', p);
      if (end < 0 || end >= to || end - p > 1024) return false;
      p = end + 1;
    }
    if (p === to && fileEnds) return commands > 0;
    const end = commandEnd(bytes, p, to);
    // A command that is longer than what is shown follows some that were whole: believed.
    if (end === undefined) return false;
    if (end === -1) return commands > 1;
    p = end;
  }
  return true;
}

/** Where a whole command of a known name ends; -1: behind what is shown; undefined: none begins here. */
function commandEnd(bytes: Buffer, at: number, to: number): number | undefined {
  const argc = numberLine(bytes, at, to, 0x2a);
  if (argc === undefined || argc.value < 1) return undefined;
  let p = argc.end;
  for (let i = 0; i < argc.value; i++) {
    if (p >= to) return -1;
    const length = numberLine(bytes, p, to, 0x24);
    if (length === undefined) return undefined;
    const end = length.end + length.value;
    if (i === 0 && !(end <= to && mayBeName(bytes, length.end, end))) return undefined;
    if (end + 2 > to) return -1;
    if (bytes[end] !== 0x0d || bytes[end + 1] !== 0x0a) return undefined;
    p = end + 2;
  }
  return p;
}

/** Of a server or, with a dot in it, of a module. */
function mayBeName(bytes: Buffer, start: number, end: number): boolean {
  if (isKnownCommand(bytes, start, end)) return true;
  return end - start < 64 && /^[a-z_][a-z0-9_]*\.[a-z0-9_.]+$/i.test(bytes.toString('latin1', start, end));
}

function numberLine(bytes: Buffer, at: number, to: number, mark: number): { value: number; end: number } | undefined {
  if (bytes[at] !== mark) return undefined;
  let p = at + 1;
  let value = 0;
  for (; p < to && p - at <= 10; p++) {
    const digit = bytes[p]! - 0x30;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
  }
  if (p === at + 1 || p + 1 >= to || bytes[p] !== 0x0d || bytes[p + 1] !== 0x0a) return undefined;
  return { value, end: p + 2 };
}
