/** Commands that make keys disappear, by what they can do. */
export const flushCommands = ['flushall', 'flushdb', 'swapdb'] as const;
export const deleteCommands = ['del', 'unlink'] as const;
/** They may have run any of the others inside. */
export const scriptCommands = ['eval', 'evalsha', 'fcall'] as const;

const all: readonly string[] = [...flushCommands, ...deleteCommands];

/** The command's lower-case name where it is one that destroys; undefined for any other. */
export function destructive(name: string | undefined): string | undefined {
  const lower = name?.toLowerCase();
  return lower !== undefined && all.includes(lower) ? lower : undefined;
}
