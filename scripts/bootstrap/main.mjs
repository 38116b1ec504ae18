// node scripts/bootstrap/main.mjs --for start|test|bench
//
// Says each step on standard error, prints the found parts as JSON on standard output and writes them to <state>/parts.json.
// Exit codes: 0 every part that the job needs is there; 1 one is not; 2 wrong usage.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureParts } from './ensure-parts.mjs';
import { isProgram, stateFolder } from './machine.mjs';
import { sweep } from './part-cache.mjs';
import { jobs } from './parts.mjs';
import { endAll } from './run.mjs';

/**
 * Provides what a job needs and writes down where it is.
 * @param {'start' | 'test' | 'bench'} job
 * @returns {Promise<{ file: string, parts: Record<string, import('./ensure-parts.mjs').Found | import('./ensure-parts.mjs').Missing>, missing: string[] }>}
 *   `missing` are the needed ones that are not to be had
 */
export async function bootstrap(job) {
  const { needed, wanted } = jobs[job];
  // Ctrl-C, a closed terminal, a plain kill: what was begun is removed. After kill -9 the next bootstrap removes it.
  const interrupted = (signal) => {
    endAll();
    sweep({ own: true });
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, interrupted);
  const parts = await ensureParts([...needed, ...wanted]);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeListener(signal, interrupted);
  const file = join(stateFolder(), 'parts.json');
  mkdirSync(stateFolder(), { recursive: true });
  const all = { ...earlier(file), ...parts };
  writeFileSync(`${file}.${process.pid}`, `${JSON.stringify(all, null, 2)}\n`);
  renameSync(`${file}.${process.pid}`, file);
  return { file, parts, missing: needed.filter((name) => 'unavailable' in parts[name]) };
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
