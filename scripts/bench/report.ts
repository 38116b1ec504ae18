import { median, ratioOf, type Timing } from './turns.ts';

/** A promise that is held against a figure. */
export interface Goal {
  readonly met: boolean;
  /** `≤ 1.1`, `≥ 350 MB/s` */
  readonly text: string;
}

/** One line of the report. */
export interface Row {
  readonly what: string;
  readonly figure: string;
  /** Ours to the one that this line names, or what else it is compared by. */
  readonly ratio?: string;
  readonly goal?: Goal;
}

export const atMost = (value: number, limit: number, unit = ''): Goal => ({
  met: value <= limit,
  text: `≤ ${limit}${unit}`,
});

export const atLeast = (value: number, limit: number, unit = ''): Goal => ({
  met: value >= limit,
  text: `≥ ${limit}${unit}`,
});

/** As Markdown, so that it can be kept as it was printed. */
export function table(title: string, rows: readonly Row[]): string {
  const lines = rows.map(({ what, figure, ratio = '', goal }) => {
    const judged = goal === undefined ? '' : `${goal.text}: ${goal.met ? 'met' : '**missed**'}`;
    return `| ${what} | ${figure} | ${ratio} | ${judged} |`;
  });
  return [`### ${title}`, '', '| | figure | ratio | promised |', '| --- | --- | --- | --- |', ...lines, ''].join('\n');
}

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
/** The median, and the fastest round, which is nearest to a machine that does nothing else. */
export const timed = ({ seconds }: Timing): string =>
  `${median(seconds).toFixed(2)} s (fastest ${Math.min(...seconds).toFixed(2)})`;

/** Ours to theirs: the median of the rounds' ratios, and that of the fastest rounds. */
export const compared = (ours: Timing, theirs: Timing): string =>
  `${ratioOf(ours, theirs).toFixed(2)} (fastest ${(Math.min(...ours.seconds) / Math.min(...theirs.seconds)).toFixed(2)})`;
export const rate = (bytes: number, taken: number): string => `${Math.round(bytes / 1e6 / taken)} MB/s`;
