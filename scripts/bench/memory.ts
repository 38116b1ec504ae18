import { readFile, writeFile } from 'node:fs/promises';
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

/** The most memory that workers take above what they hold when idle, for dumps of three sizes. Linux only. */
export async function benchMemory(stage: Stage): Promise<string> {
  const title = 'Worker memory above idle, at its peak during a backup';
  if (process.platform !== 'linux') {
    return table(title, [{ what: 'skipped: peaks are read from /proc, which only Linux has', figure: '' }]);
  }
  const redis = await stage.redis();
  const deployment = await deploy(stage, redis, ['orchestrator', 'host', 'sandbox']);
  try {
    await fillMegabytes(redis, 1);
    await sleep(SETTLE_MS);
    const roles = ['host', 'sandbox'] as const;
    const idle = {
      host: await statusBytes(deployment.pid('host'), 'VmRSS'),
      sandbox: await statusBytes(deployment.pid('sandbox'), 'VmRSS'),
    };
    const rows: Row[] = [];
    for (const step of STEPS_MB) {
      process.stderr.write(`  ${step} MB\n`);
      await fillMegabytes(redis, step);
      for (const role of roles) await forgetPeak(deployment.pid(role));
      const run = await backUp(deployment);
      if (run.state !== 'verified') throw new Error(`the backup of ${step} MB is ${run.state}`);
      for (const role of roles) {
        const above = ((await statusBytes(deployment.pid(role), 'VmHWM')) - idle[role]) / MIB;
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

/** The resident set in bytes: now, or the largest since the peak was forgotten last (proc(5)). */
async function statusBytes(pid: number, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
}

/** From now on the kernel counts the peak anew. */
async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5');
}
