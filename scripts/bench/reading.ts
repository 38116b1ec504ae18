import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findPeer, runPeer } from './peers.ts';
import { atLeast, megabytes, type Row, rate, table } from './report.ts';
import type { Stage } from './stage.ts';
import { secondsOf } from './turns.ts';

/** MB a second on one core, by the measures of reader.ts that were promised. */
const promised: Readonly<Record<string, number>> = {
  'walk and check': 350,
  'walk, check and decode every value': 120,
};

interface ReaderFigures {
  readonly best: Readonly<Record<string, { readonly wallMBps: number; readonly cpuMBps: number }>>;
}

/** How fast the dump is read: reader.ts' measures, and Redis' own checker on the same file. */
export async function benchReading(stage: Stage, rounds: number): Promise<string> {
  const { path, sizeBytes, keys } = await stage.mixedSet();
  const script = fileURLToPath(new URL('./reader.ts', import.meta.url));
  const args = [script, '--file', path, '--rounds', String(rounds), '--json'];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const { best } = JSON.parse(stdout) as ReaderFigures;
  const reference = Object.values(best)[0]!.cpuMBps;
  const rows = Object.entries(best).map(([what, { wallMBps, cpuMBps }]): Row => {
    const goal = promised[what];
    return {
      what,
      figure: `${Math.round(cpuMBps)} MB a processor second (${Math.round(wallMBps)} MB/s by the clock)`,
      ratio: `${(reference / cpuMBps).toFixed(1)} × SHA-256`,
      goal: goal === undefined ? undefined : atLeast(cpuMBps, goal, ' MB/s'),
    };
  });
  const checker = await findPeer('redis-check-rdb');
  if (typeof checker === 'string') rows.push({ what: checker, figure: '' });
  else {
    const taken = [];
    for (let round = 0; round < rounds; round++) taken.push(await secondsOf(() => runPeer(checker, [path])));
    rows.push({ what: `\`${checker.name}\``, figure: `${rate(sizeBytes, Math.min(...taken))} by the clock` });
  }
  return table(`Reader: ${keys} keys, ${megabytes(sizeBytes)}, the best of ${rounds} rounds`, rows);
}
