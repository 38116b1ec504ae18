import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { RewindError } from '../errors/rewind-error.ts';
import { policyOf } from '../policy/instance-policy.ts';
import type { StepIO } from '../process/step-io.ts';
import type { Repository } from '../repository/repository.ts';
import { type DiffCounts, type DiffResult, type DiffSide, diffContents } from '../restore/diff/diff-contents.ts';
import { findPoint, type RestorePoint } from '../restore/restore-point.ts';
import { parseRestoreInput } from '../restore/restore-request.ts';
import { stageDump } from '../restore/staged-dump.ts';
import { makeWorkFolder } from '../sandbox/work-folder.ts';
import { openInstance } from '../workers/instance-context.ts';
import { type EffectiveConfig, effectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import { materializeHere } from './moment-here.ts';
import type { ExitCode } from './output.ts';
import { progressView } from './progress-view.ts';
import { wrap } from './wrap.ts';

/** What a server in use is asked for at most, unless somebody says otherwise. */
const KEYS_PER_SECOND = 50_000;
/** Beside the dumps themselves: what is sorted. */
const SORTED_BYTES_PER_KEY = 100;

interface DiffCommandOptions {
  readonly keysPerSecond?: string;
}

/**
 * Which keys differ between two of: a backup, `latest`, `live`; on this machine, without Temporal. 0 whether or not
 * something differs: the counts say so.
 */
export async function diff(
  context: CliContext,
  options: DiffCommandOptions,
  instance: string,
  a: string,
  b: string,
): Promise<ExitCode> {
  const keysPerSecond = options.keysPerSecond === undefined ? KEYS_PER_SECOND : Number(options.keysPerSecond);
  if (!(keysPerSecond > 0)) {
    throw new RewindError('DIFF_SIDES', '--keys-per-second is not a number above 0.');
  }
  if (a === b) throw new RewindError('DIFF_SIDES', `Both sides are ${JSON.stringify(a.slice(0, 64))}.`);
  const effective = await effectiveConfig(context);
  const { config, home } = effective;
  policyOf(config, instance);
  const login = [a, b].includes('live');
  const { repository, target } = await openInstance({ config, env: context.env, home }, { login })({ instance });
  const view = progressView(instance, process.stderr);
  const io: StepIO = { signal: context.signal, onProgress: (progress) => view.show(progress) };
  let folder: string | undefined;
  try {
    const points: (RestorePoint | undefined)[] = [];
    for (const side of [a, b]) points.push(await pointOf(effective, repository, instance, side, io));
    const [idA, idB] = points.map((point) => point?.id ?? 'live') as [string, string];
    if (idA === idB) throw new RewindError('DIFF_SIDES', `Both sides are ${idA}.`);
    const root = join(home, 'diff');
    folder = await makeWorkFolder(root, `${idA}-${idB}`, roomFor(points));
    const sides: DiffSide[] = [];
    for (const point of points) {
      if (!point) sides.push({ live: target, keysPerSecond });
      else sides.push({ dump: await stageDump(repository, join(folder, point.id), point, io) });
    }
    const sorted = join(folder, 'sorted');
    await mkdir(sorted, { mode: 0o700 });
    const namesFile = join(root, `${instance}-${idA}-${idB}-${Date.now()}.jsonl`);
    const result = await diffContents(sides[0]!, sides[1]!, { workFolder: sorted, namesFile }, io);
    view.end();
    context.output.answer(textOf(instance, [idA, idB], result, namesFile), {
      instance,
      a: { id: idA, at: timeOf(result.atMs.a) },
      b: { id: idB, at: timeOf(result.atMs.b) },
      ...countsOf(result),
      byDatabase: result.byDatabase,
      names: namesFile,
    });
    return 0;
  } finally {
    view.end();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    repository.close();
  }
}

/** A moment of the archive is made a backup first, and proven. */
async function pointOf(
  effective: EffectiveConfig,
  repository: Repository,
  instance: string,
  side: string,
  io: StepIO,
): Promise<RestorePoint | undefined> {
  if (side === 'live') return undefined;
  const { to } = parseRestoreInput({ instance, to: side });
  const found = await findPoint(repository, instance, to);
  return 'moment' in found ? materializeHere(effective, { repository }, found.moment, io) : found;
}

function roomFor(points: readonly (RestorePoint | undefined)[]): number {
  const known = points.filter((point) => point !== undefined);
  // A live server holds about as many keys as the backup that it is compared with.
  const keys = 2 * Math.max(...known.map((point) => point.keys));
  return known.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) + keys * SORTED_BYTES_PER_KEY;
}

const columns = ['added', 'gone', 'changed', 'expired', 'same', 'unreadable'] as const satisfies (keyof DiffCounts)[];

function countsOf(counts: DiffCounts): DiffCounts {
  return Object.fromEntries(columns.map((column) => [column, counts[column]])) as unknown as DiffCounts;
}

/** At 80 columns: databases down, what became of keys across. */
function textOf(instance: string, ids: readonly string[], result: DiffResult, names: string): string {
  const row = (label: string, cells: readonly string[]) =>
    label.padEnd(8) + cells.map((cell) => cell.padStart(11)).join('');
  const numbers = (counts: DiffCounts) => columns.map((column) => counts[column].toLocaleString('en-US'));
  const databases = Object.entries(result.byDatabase).sort(([x], [y]) => Number(x) - Number(y));
  const { added, gone, changed, expired } = result;
  const lines = [
    `${instance}: from ${ids[0]} to ${ids[1]}`,
    row(
      '',
      columns.map((column) => column.toUpperCase()),
    ),
    ...databases.map(([db, counts]) => row(`db${db}`, numbers(counts))),
    ...(databases.length > 1 ? [row('all', numbers(result))] : []),
  ];
  if (result.unreadable > 0) lines.push(wrap('unreadable: in both, of types that cannot be compared by content'));
  if (added + gone + changed + expired > 0) lines.push('names of the keys that differ:', `  ${names}`);
  else lines.push('no key differs');
  return lines.join('\n');
}

const timeOf = (ms: number): string | undefined => (ms > 0 ? new Date(ms).toISOString() : undefined);
