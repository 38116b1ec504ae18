// node scripts/bootstrap/main.mjs --for start|test|bench
//
// Says each step on standard error, prints the found parts as JSON on standard output and writes them to <state>/parts.json.
// Exit codes: 0 every part that the job needs is there; 1 one is not; 2 wrong usage.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureParts } from './ensure-parts.mjs';
import { isProgram, stateFolder } from './machine.mjs';
import { sweep } from './part-cache.mjs';
import { jobs } from './parts.mjs';
import { endAll } from './run.mjs';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * Provides parts and writes down where they are.
 * @param {{ needed: string[], wanted: string[] }} what what cannot be done without, and what can
 * @param {string} [file] where it is written
 * @returns {Promise<{ file: string, parts: Record<string, import('./ensure-parts.mjs').Found | import('./ensure-parts.mjs').Missing>, missing: string[] }>}
 *   `missing` are the needed ones that are not to be had
 */
export async function provide({ needed, wanted }, file = join(stateFolder(), 'parts.json')) {
  // Ctrl-C, a closed terminal, a plain kill, a starter that is gone: what was begun is ended and removed. After kill -9 the next
  // bootstrap removes it.
  const interrupted = (signal) => {
    endAll();
    sweep({ own: true });
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  };
  const starterGone = () => interrupted('SIGTERM');
  for (const signal of signals) process.once(signal, interrupted);
  process.once('disconnect', starterGone);
  const parts = await ensureParts([...needed, ...wanted]);
  for (const signal of signals) process.removeListener(signal, interrupted);
  process.removeListener('disconnect', starterGone);
  mkdirSync(dirname(file), { recursive: true });
  const all = { ...earlier(file), ...parts };
  writeFileSync(`${file}.${process.pid}`, `${JSON.stringify(all, null, 2)}\n`);
  renameSync(`${file}.${process.pid}`, file);
  return { file, parts, missing: needed.filter((name) => 'unavailable' in parts[name]) };
}

/**
 * As `provide`, for one of the jobs of a checkout.
 * @param {'start' | 'test' | 'bench'} job
 */
export function bootstrap(job) {
  return provide(jobs[job]);
}

/** What another job had found, as far as it is still there. */
function earlier(file) {
  try {
    const parts = Object.entries(JSON.parse(readFileSync(file, 'utf8')));
    return Object.fromEntries(parts.filter(([, part]) => part.path !== undefined && isProgram(part.path)));
  } catch {
    return {};
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [flag, job] = process.argv.slice(2);
  if (flag !== '--for' || !(job in jobs)) {
    process.stderr.write('usage: node scripts/bootstrap/main.mjs --for start|test|bench\n');
    process.exit(2);
  }
  const { parts, missing } = await bootstrap(job);
  process.stdout.write(`${JSON.stringify(parts, null, 2)}\n`);
  if (missing.length > 0) {
    process.stderr.write(`bootstrap: ${job} needs ${missing.join(', ')}, see above what to do\n`);
    process.exit(1);
  }
}
