import { symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheFolder, findOnPath } from './machine.mjs';
import { install, readCached, sweep } from './part-cache.mjs';
import { parts } from './parts.mjs';
import { say, whileShowing } from './progress.mjs';
import { run } from './run.mjs';
import { takeTicket } from './ticket-lock.mjs';
import { Unavailable } from './unavailable.mjs';

/**
 * A part that was found.
 * @typedef {{ path: string, version: string, source: string }} Found
 * A part that could not be had, with each way's reason.
 * @typedef {{ unavailable: string }} Missing
 */

/**
 * Finds, fetches or builds parts, and says each step with its reason on standard error. Parts are worked on side by side, builds one
 * after the other.
 * @param {string[]} names
 * @returns {Promise<Record<string, Found | Missing>>}
 */
export async function ensureParts(names) {
  sweep();
  const lanes = new Map();
  const entries = await Promise.all(names.map(async (name) => [name, await ensurePart(parts[name], lanes)]));
  return Object.fromEntries(entries);
}

async function ensurePart(part, lanes) {
  const reasons = [];
  const onPath = await tryPath(part, reasons);
  if (onPath !== undefined) return onPath;
  const cached = readCached(part);
  if (cached !== undefined) {
    say(part.name, `${cached.version} from the cache, ${cached.path} (${reasons.join(', ')})`);
    return cached;
  }
  reasons.push('not in the cache');
  const release = await takeTicket(join(cacheFolder(), 'locks', part.name), (pid) =>
    say(part.name, `another bootstrap (pid ${pid}) is at it; waiting for it`),
  );
  try {
    const meanwhile = readCached(part);
    if (meanwhile !== undefined) {
      say(part.name, `${meanwhile.version}, which another bootstrap has just put into the cache`);
      return meanwhile;
    }
    for (const source of part.sources) {
      const because = source === part.sources[0] ? reasons.join(', ') : reasons.at(-1);
      const found = await inLane(lanes, source.lane, () => trySource(part, source, because, reasons));
      if (found !== undefined) return found;
    }
  } finally {
    release();
  }
  const byHand = part.byHand();
  const unavailable = `${reasons.join('; ')}${byHand === undefined ? '' : `. To have it: ${byHand}`}`;
  say(part.name, `not to be had: ${unavailable}`);
  return { unavailable };
}

async function tryPath(part, reasons) {
  const path = findOnPath(part.program);
  if (path === undefined) {
    reasons.push(`no ${part.program} on PATH`);
    return undefined;
  }
  try {
    const version = await readVersion(part, path);
    const refusal = part.refuses(version);
    if (refusal === undefined) {
      say(part.name, `${version} on PATH, ${path}`);
      return { path, version, source: 'PATH' };
    }
    reasons.push(`${path} on PATH does not serve: ${refusal}`);
  } catch (error) {
    reasons.push(`${path} on PATH does not serve: ${error.message}`);
  }
  return undefined;
}

async function trySource(part, source, because, reasons) {
  say(part.name, `${because}; trying ${source.what}`);
  const since = Date.now();
  try {
    const found = await whileShowing(part.name, source.what, (now) =>
      install(
        part,
        source.what,
        async (folder) => {
          await source.fill(folder, now);
          for (const alias of part.aliases ?? []) symlinkSync(part.program, join(folder, 'bin', alias));
        },
        async (program) => {
          const version = await readVersion(part, program);
          const refusal = part.refuses(version);
          if (refusal !== undefined) throw new Unavailable(refusal);
          return version;
        },
      ),
    );
    say(
      part.name,
      `${found.version} by ${source.what}, ${((Date.now() - since) / 1000).toFixed(1)} s, now in ${dirname(found.path)}`,
    );
    return found;
  } catch (error) {
    if (!(error instanceof Unavailable) && process.env.REWIND_DEBUG) say(part.name, error.stack);
    reasons.push(`${source.what}: ${error.message}`);
    return undefined;
  }
}

async function readVersion(part, program) {
  const { stdout, stderr } = await run(program, part.versionArgs, { timeoutMs: 20_000 });
  const version = part.versionPattern.exec(stdout || stderr)?.[1];
  if (version === undefined) throw new Unavailable(`it does not say what version of ${part.name} it is`);
  return version;
}

/** One at a time in a lane; those without a lane go at once. */
function inLane(lanes, lane, work) {
  if (lane === undefined) return work();
  const turn = (lanes.get(lane) ?? Promise.resolve()).then(work);
  lanes.set(
    lane,
    turn.catch(() => {}),
  );
  return turn;
}
