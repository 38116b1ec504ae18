import { createHash } from 'node:crypto';
import { chmodSync, createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { platform } from '../machine.mjs';
import { run } from '../run.mjs';
import { Unavailable } from '../unavailable.mjs';

/** Without the internet the next way must come at once. */
const connectMs = 4_000;
/** With it, a download that stands still is given up. */
const stallMs = 20_000;

/**
 * The vendor's own build: a .tar.gz whose SHA-256 is pinned here.
 * @param {{ program: string, archives: Record<string, { url: string, sha256: string }> }} pinned by platform
 */
export function vendorArchive({ program, archives }) {
  return {
    what: "the vendor's download",
    async fill(folder, now) {
      const archive = archives[platform];
      if (archive === undefined) throw new Unavailable(`there is none for ${platform}`);
      const file = join(folder, 'download.tar.gz');
      await download(archive, file, now);
      mkdirSync(join(folder, 'bin'));
      await run('tar', ['-xzf', file, '-C', join(folder, 'bin'), program]);
      chmodSync(join(folder, 'bin', program), 0o755);
      await run('rm', [file]);
    },
  };
}

async function download({ url, sha256 }, file, now) {
  const giveUp = new AbortController();
  let timer = setTimeout(() => giveUp.abort(), connectMs);
  try {
    const response = await fetch(url, { signal: giveUp.signal });
    if (!response.ok || response.body === null)
      throw new Unavailable(`${new URL(url).host} answered ${response.status}`);
    const hash = createHash('sha256');
    let bytes = 0;
    const measure = new Transform({
      transform(chunk, _encoding, done) {
        clearTimeout(timer);
        timer = setTimeout(() => giveUp.abort(), stallMs);
        hash.update(chunk);
        bytes += chunk.length;
        now(`${(bytes / 1e6).toFixed(0)} MB of ${(Number(response.headers.get('content-length')) / 1e6).toFixed(0)}`);
        done(null, chunk);
      },
    });
    await pipeline(response.body, measure, createWriteStream(file), { signal: giveUp.signal });
    const digest = hash.digest('hex');
    if (digest !== sha256) throw new Unavailable(`its SHA-256 is ${digest}, not the pinned ${sha256}: not used`);
  } catch (error) {
    if (error instanceof Unavailable) throw error;
    const host = new URL(url).host;
    if (giveUp.signal.aborted) throw new Unavailable(`${host} did not answer in time`);
    throw new Unavailable(`${host} cannot be reached (${error.cause?.code ?? error.message})`);
  } finally {
    clearTimeout(timer);
  }
}
