import { writeSync } from 'node:fs';
import { type ChaosResult, runCase } from './chaos-case.ts';
import { type ChaosCase, nameOf } from './chaos-table.ts';
import { type ChaosWorld, startWorld } from './chaos-world.ts';

/** Runs cases one after the other in one deployment, and keeps the table of what became of them. */
export interface ChaosRun {
  run(chaos: ChaosCase): Promise<void>;
  /** With the table on standard output, each line a case. */
  end(): Promise<void>;
}

/** What one case may take with a start of its deployment, in milliseconds. */
export const CASE_MS = 420_000;

export function chaosRun(title: string): ChaosRun {
  const rows: string[][] = [];
  let world: ChaosWorld | undefined;
  return {
    async run(chaos) {
      world ??= await startWorld();
      const since = Date.now();
      const note = (result: string) => {
        const { runbook, step, state, victim, fault } = chaos;
        const when = step === 'gate' ? 'at the gate' : `${state === 'scheduled' ? 'in' : 'after'} ${step}`;
        const seconds = ((Date.now() - since) / 1_000).toFixed(1);
        rows.push([runbook, when, `${victim} ${fault}`, result, seconds]);
        say(`chaos ${rows.length}. ${nameOf(chaos)}: ${result}, ${seconds} s`);
      };
      try {
        note(wordsOf(await runCase(world, chaos)));
      } catch (error) {
        note(`FAILED: ${(error as Error).message.split('\n')[0]?.slice(0, 300)}`);
        // What it left must not be the next one's trouble.
        await world.stop().catch(() => undefined);
        world = undefined;
        throw error;
      }
    },
    async end() {
      await world?.stop();
      const head = ['runbook', 'step', 'victim', 'result', 'seconds'];
      const widths = head.map((word, at) => Math.max(word.length, ...rows.map((row) => row[at]?.length ?? 0)));
      const line = (row: string[]) =>
        row
          .map((cell, at) => cell.padEnd(widths[at] ?? 0))
          .join('  ')
          .trimEnd();
      say(['', title, line(head), ...rows.map(line), ''].join('\n'));
    },
  };
}

function wordsOf({ retried }: ChaosResult): string {
  return retried.length === 0 ? 'recovered' : `recovered, after ${retried.join(', ')} was tried again`;
}

/** Beside the reporter, which would put it under the name of a test. */
function say(text: string): void {
  writeSync(2, `${text}\n`);
}
