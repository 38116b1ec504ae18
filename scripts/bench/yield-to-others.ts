import { readdirSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/** The store stands for another machine: what it needs of this one it takes from nobody. */
export const storeNice = 19;

/** Every thread of a process, and its session, step back behind the others. */
export function yieldToOthers(pid: number, nice: number): void {
  for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), nice);
  // Linux shares processors out by session first.
  writeFileSync(`/proc/${pid}/autogroup`, String(nice));
}
