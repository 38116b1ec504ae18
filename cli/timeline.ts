import { drawArchive, type TimelinePicture } from '../archive/read/timeline.ts';
import { policyOf } from '../policy/instance-policy.ts';
import { openRepository } from '../repository/open.ts';
import { effectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';
import { COLUMNS, wrap } from './wrap.ts';

/** Every moment of the archive that can be restored, from the repository alone. */
export async function timeline(context: CliContext, _options: object, instance: string): Promise<ExitCode> {
  const { config } = await effectiveConfig(context);
  policyOf(config, instance);
  const repository = await openRepository(config.repository);
  try {
    const timelines = await drawArchive({ repository, instance });
    const lagSeconds = lagOf(timelines, Date.now());
    const document = { instance, timelines: timelines.map(documentOf), lagSeconds };
    context.output.answer(textOf(instance, timelines, lagSeconds), document);
    return 0;
  } finally {
    repository.close();
  }
}

/** Seconds since what the newest timeline has last was written: what came later is not in the archive yet, or nothing came. */
function lagOf(timelines: readonly TimelinePicture[], now: number): number | undefined {
  const last = timelines.at(-1)?.to;
  return last && Math.max(0, Math.round((now - last.timeMs) / 100) / 10);
}

/** As INTERFACE.md has it; more stands beside. */
function documentOf(picture: TimelinePicture) {
  const { parent, from, to } = picture;
  return {
    id: String(picture.timeline),
    ...(parent ? { parent: { id: String(parent.timeline), offset: parent.position } } : {}),
    from: from && iso(from.timeMs),
    to: to && iso(to.timeMs),
    fromOffset: from?.position,
    toOffset: to?.position,
    why: picture.why,
    bases: picture.bases.count,
    gaps: picture.gaps.map((gap) => ({
      from: iso(gap.from.timeMs),
      to: gap.to && iso(gap.to.timeMs),
      fromOffset: gap.from.position,
      toOffset: gap.to?.position,
    })),
    destructive: picture.destructive.map(({ timeMs, command, position, database, keys }) => ({
      time: iso(timeMs),
      command: command ?? 'unread',
      offset: position,
      database,
      keys,
    })),
    pins: picture.pins.map(({ timeMs, position, holds, note }) => ({
      time: iso(timeMs),
      offset: position,
      holds,
      note,
    })),
  };
}

/** Lines of destructive commands and gaps that are printed; the newest ones. --json has all. */
const mostLines = 20;

function textOf(instance: string, timelines: readonly TimelinePicture[], lagSeconds: number | undefined): string {
  if (timelines.length === 0) return wrap(`${instance} has no archive yet: only backups can be restored.`);
  const width = timelines.reduce((most, { to }) => Math.max(most, String(to?.position ?? 0).length), 8);
  const lines = [
    `${instance}: ${timelines.length === 1 ? 'one timeline' : `${timelines.length} timelines`}, newest last`,
  ];
  for (const picture of timelines) lines.push(...linesOf(picture, width));
  if (lagSeconds !== undefined) {
    lines.push(wrap(`last write in the archive: ${sayAge(lagSeconds)} ago; what came since is shipped within seconds`));
  }
  return lines.join('\n');
}

function linesOf(picture: TimelinePicture, width: number): string[] {
  const { timeline, parent, why, from, to, bases, destructive, gaps, pins } = picture;
  const left = parent ? `, left timeline ${parent.timeline} at ${parent.position}` : '';
  const head = `timeline ${timeline} (${why}${left})`;
  if (!from || !to) return [head, '  nothing of it can be restored yet'];
  const row = (at: { timeMs: number; position: number }, what: string) =>
    cut(`  ${iso(at.timeMs)}  ${String(at.position).padStart(width)}  ${what}`);
  const marked = [
    ...gaps.flatMap((gap) => [
      { at: gap.from, what: 'GAP begins' },
      ...(gap.to ? [{ at: gap.to, what: 'gap ends' }] : []),
    ]),
    ...destructive.map(({ command, database, keys, ...at }) => ({
      at,
      what: `${command ?? 'destructive'}${database === undefined ? '' : ` db${database}`}${keys === undefined ? '' : `, ${keys} keys`}`,
    })),
    ...pins.map(({ holds, note = 'a loss', ...at }) => ({ at, what: `${holds ? 'PINNED' : 'was pinned'}: ${note}` })),
  ].sort((a, b) => a.at.position - b.at.position);
  const shown = marked.slice(-mostLines);
  return [
    head,
    row(from, `first moment; ${bases.count} bases`),
    ...(marked.length > shown.length ? [`  … ${marked.length - shown.length} earlier ones: --json`] : []),
    ...shown.map(({ at, what }) => row(at, what)),
    row(to, `last moment${gaps.length === 0 ? ', no gap in between' : ''}`),
  ];
}

const cut = (line: string): string => (line.length > COLUMNS ? `${line.slice(0, COLUMNS - 1)}…` : line);

function sayAge(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3_600)} h`;
}

const iso = (ms: number): string => new Date(ms).toISOString();
