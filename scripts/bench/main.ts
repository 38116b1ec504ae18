// npm run bench [-- NAME… --keys N --rounds N]
//
// Tables as Markdown on standard output, progress on standard error. Exit codes: 0 everything was measured, whatever came out
// (a machine that does other things misses promises); 1 something failed; 2 wrong usage.
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { endWithParent } from '../../process/parent-watch.ts';
import { benchAsPrimary } from './as-primary.ts';
import { benchFlush } from './flush.ts';
import { benchLatency } from './latency.ts';
import { benchLostHost } from './lost-host.ts';
import { benchMemory } from './memory.ts';
import { benchMoment } from './moment.ts';
import { benchProof } from './proof.ts';
import { benchPutKeys } from './put-keys.ts';
import { benchReading } from './reading.ts';
import { benchShip } from './ship.ts';
import { benchShipStream } from './ship-stream.ts';
import { Stage } from './stage.ts';
import { benchStore } from './store.ts';
import { benchTimeline } from './timeline.ts';
import { benchWholeBackup } from './whole-backup.ts';

const benchmarks: Readonly<Record<string, (stage: Stage, rounds: number) => Promise<string>>> = {
  reader: benchReading,
  store: benchStore,
  proof: benchProof,
  backup: benchWholeBackup,
  latency: benchLatency,
  memory: benchMemory,
  'as-primary': benchAsPrimary,
  'put-keys': benchPutKeys,
  flush: benchFlush,
  ship: benchShip,
  'ship-stream': benchShipStream,
  'lost-host': benchLostHost,
  timeline: benchTimeline,
  moment: benchMoment,
};

const usage = `usage: npm run bench [-- NAME… --keys N --rounds N]   NAME: ${Object.keys(benchmarks).join(', ')}`;

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { keys: { type: 'string', default: '2000000' }, rounds: { type: 'string', default: '5' } },
    });
    const [keys, rounds] = [Number(values.keys), Number(values.rounds)];
    const unknown = positionals.filter((name) => !Object.hasOwn(benchmarks, name));
    if (unknown.length > 0) throw new Error(`no benchmark ${unknown.join(', ')}`);
    if (!(keys >= 1000) || !(rounds >= 1)) throw new Error('--keys takes 1000 or more, --rounds 1 or more');
    return { names: positionals.length > 0 ? positionals : Object.keys(benchmarks), keys, rounds };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${usage}\n`);
    process.exit(2);
  }
}

const { names, keys, rounds } = readArguments();
// What was started ends with this process; so nothing more is to be done than to end.
endWithParent(() => process.exit(1));
const stage = new Stage({ keys });
try {
  const busy = loadavg()[0]! / cpus().length;
  process.stdout.write(
    `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.versions.node}, ${process.platform}; ${busy.toFixed(1)} processes a core were waiting already when it began\n\n`,
  );
  for (const name of names) {
    process.stderr.write(`${name}\n`);
    process.stdout.write(`${await benchmarks[name]!(stage, rounds)}\n`);
  }
} finally {
  await stage.close();
}
