import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fillMegabytes } from '../../test/support/dataset.ts';
import { backUp, deploy } from './backup-run.ts';
import { atMost, megabytes, type Row, table } from './report.ts';
import type { Stage } from './stage.ts';

const MIB = 1024 * 1024;
const LIMIT_MIB = 256;
/** Dumps grow by values that do not compress. */
const STEPS_MB = [100, 500, 2_000];
const SETTLE_MS = 3_000;
const LOOK_MS = 50;

/** The most memory that workers take above what they hold when idle, for dumps of three sizes. Linux only. */
export async function benchMemory(stage: Stage): Promise<string> {
  const title = 'Worker memory above idle, at its peak during a backup';
  if (process.platform !== 'linux') {
    return table(title, [{ what: 'skipped: it is read from /proc, which only Linux has', figure: '' }]);
  }
  const redis = await stage.redis();
  const deployment = await deploy(stage, redis, ['orchestrator', 'host', 'sandbox']);
  try {
    await fillMegabytes(redis, 1);
    await sleep(SETTLE_MS);
    const roles = ['host', 'sandbox'] as const;
    const idle = { host: residentBytes(deployment.pid('host')), sandbox: residentBytes(deployment.pid('sandbox')) };
    const rows: Row[] = [];
    for (const step of STEPS_MB) {
      process.stderr.write(`  ${step} MB\n`);
      await fillMegabytes(redis, step);
      const peak = { ...idle };
      const watching = setInterval(() => {
        for (const role of roles) peak[role] = Math.max(peak[role], residentBytes(deployment.pid(role)));
      }, LOOK_MS);
      const run = await backUp(deployment).finally(() => clearInterval(watching));
      if (run.state !== 'verified') throw new Error(`the backup of ${step} MB is ${run.state}`);
      for (const role of roles) {
        const above = (peak[role] - idle[role]) / MIB;
        rows.push({
          what: `${role} worker, ${step} MB (idle: ${megabytes(idle[role])})`,
          figure: `${above.toFixed(0)} MiB`,
          goal: atMost(Math.round(above), LIMIT_MIB, ' MiB'),
        });
      }
    }
    return table(title, rows);
  } finally {
    await deployment.stop();
  }
}

/** Resident set of a worker and of the Node processes that it started, in bytes; what they share is counted in each. */
function residentBytes(pid: number): number {
  let bytes = 0;
  try {
    if (readlinkSync(`/proc/${pid}/exe`) === process.execPath) {
      bytes = Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
    }
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const children = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ');
      for (const child of children) if (child !== '') bytes += residentBytes(Number(child));
    }
  } catch {
    // It has ended since.
  }
  return bytes;
}
