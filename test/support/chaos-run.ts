import { writeSync } from 'node:fs';
import { type ChaosResult, runCase } from './chaos-case.ts';
import { type WarmRoles, warmRoles } from './chaos-roles.ts';
import { type ChaosCase, nameOf } from './chaos-table.ts';
import { type ChaosWorld, startWorld } from './chaos-world.ts';

/** Runs cases in a few worlds side by side, and keeps the table of what became of them. */
export interface ChaosRun {
  /** Settles when the case has had its turn; a case that is not begun in time is `skipped`. */
  result(chaos: ChaosCase): Promise<'recovered' | 'skipped'>;
  /** With the table on standard output, each line a case. */
  end(): Promise<void>;
}

/** What one case may take with a start of its world, in milliseconds. */
export const CASE_MS = 420_000;

export function chaosRun(
  title: string,
  cases: readonly ChaosCase[],
  { worlds, until = Number.POSITIVE_INFINITY }: { worlds: number; until?: number },
): ChaosRun {
  const rows: string[][] = [];
  const turns = new Map(cases.map((each) => [each, Promise.withResolvers<'recovered' | 'skipped'>()]));
  // Whoever asks comes later than the failure.
  for (const { promise } of turns.values()) promise.catch(() => undefined);
  const waiting = [...cases];
  let warm: WarmRoles | undefined;

  const one = async (chaos: ChaosCase, world: ChaosWorld): Promise<void> => {
    const since = Date.now();
    const note = (result: string) => {
      const { runbook, step, state, victim, fault } = chaos;
      const when = step === 'gate' ? 'at the gate' : `${state === 'scheduled' ? 'in' : 'after'} ${step}`;
      const seconds = ((Date.now() - since) / 1_000).toFixed(1);
      rows.push([runbook, when, victim, fault, result, seconds]);
      say(`chaos ${rows.length}. ${nameOf(chaos)}: ${result}, ${seconds} s`);
    };
    try {
      note(wordsOf(await runCase(world, chaos)));
      turns.get(chaos)?.resolve('recovered');
    } catch (error) {
      note(`FAILED: ${reasonOf(error as Error & { actual?: unknown })}`);
      turns.get(chaos)?.reject(error);
      throw error;
    }
  };
  const lane = async (roles: WarmRoles): Promise<void> => {
    let world: ChaosWorld | undefined;
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      if (Date.now() > until) {
        turns.get(next)?.resolve('skipped');
        continue;
      }
      try {
        world ??= await startWorld(roles);
        await one(next, world);
      } catch (error) {
        turns.get(next)?.reject(error);
        // What it left must not be the next one's trouble.
        await world?.stop().catch(() => undefined);
        world = undefined;
      }
    }
    await world?.stop();
  };
  let working: Promise<void> | undefined;
  const work = async () => {
    const roles = await warmRoles(worlds + 1);
    warm = roles;
    await Promise.all(Array.from({ length: worlds }, () => lane(roles)));
  };
  return {
    result: (chaos) => {
      working ??= work().catch((error) => {
        for (const { reject } of turns.values()) reject(error);
      });
      return turns.get(chaos)?.promise as Promise<'recovered' | 'skipped'>;
    },
    async end() {
      waiting.length = 0;
      await working;
      await warm?.stop();
      const head = ['runbook', 'step', 'victim', 'fault', 'result', 'seconds'];
      const widths = head.map((word, at) => Math.max(word.length, ...rows.map((row) => row[at]?.length ?? 0)));
      const line = (row: string[]) =>
        row
          .map((cell, at) => cell.padEnd(widths[at] ?? 0))
          .join('  ')
          .trimEnd();
      const failed = rows.filter(([, , , , result]) => result?.startsWith('FAILED')).length;
      const counts = `${rows.length} cases run, ${rows.length - failed} recovered, ${failed} failed`;
      say(['', title, line(head), ...rows.sort().map(line), counts, ''].join('\n'));
    },
  };
}

function wordsOf({ retried }: ChaosResult): string {
  return retried.length === 0 ? 'recovered' : `recovered, after ${retried.join(', ')} was tried again`;
}

/** What an assertion saw is worth more than the sentence about it. */
function reasonOf({ message, actual }: Error & { actual?: unknown }): string {
  const saw = actual === undefined ? '' : ` ${JSON.stringify(actual)}`;
  return `${message.replaceAll('\n', ' ')}${saw}`.slice(0, 1_200);
}

/** Beside the reporter, which would put it under the name of a test. */
function say(text: string): void {
  writeSync(2, `${text}\n`);
}
