/** A whole number and a unit: "500ms", "90s", "30m", "6h", "7d", "4w". */
export const DURATION = /^(\d{1,9})(ms|s|m|h|d|w)$/;
/** A number and a unit of 1024: "512", "64kb", "1.5gb". The units are Redis' (redis.conf: 1gb is 1024³ bytes). */
export const SIZE = /^(\d{1,15}(?:\.\d{1,3})?)(b|kb|mb|gb|tb)$/i;
/** "20%", "12.5%". */
export const PERCENT = /^(\d{1,3}(?:\.\d{1,3})?)%$/;

const SECONDS_OF = { ms: 0.001, s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 } as const;
const BYTES_OF = { b: 1, kb: 2 ** 10, mb: 2 ** 20, gb: 2 ** 30, tb: 2 ** 40 } as const;

/** Seconds of a duration text; undefined where it is none. */
export function parseDuration(text: string): number | undefined {
  const [, count, unit] = DURATION.exec(text) ?? [];
  if (count === undefined) return undefined;
  return unit === 'ms' ? Number(count) / 1_000 : Number(count) * SECONDS_OF[unit as keyof typeof SECONDS_OF];
}

/** Bytes of a size text, rounded down; undefined where it is none. */
export function parseSize(text: string): number | undefined {
  const [, count, unit] = SIZE.exec(text) ?? [];
  if (count === undefined || unit === undefined) return undefined;
  return Math.floor(Number(count) * BYTES_OF[unit.toLowerCase() as keyof typeof BYTES_OF]);
}

/** 0 to 100 of a percentage text; undefined where it is none. */
export function parsePercent(text: string): number | undefined {
  const percent = Number(PERCENT.exec(text)?.[1] ?? Number.NaN);
  return percent <= 100 ? percent : undefined;
}

/** The largest unit that says it in whole numbers: 21600 is "6h". */
export function formatDuration(seconds: number): string {
  const units = ['w', 'd', 'h', 'm', 's'] as const;
  const unit = units.find((name) => seconds >= SECONDS_OF[name] && seconds % SECONDS_OF[name] === 0);
  return unit ? `${seconds / SECONDS_OF[unit]}${unit}` : `${Math.round(seconds * 1_000)}ms`;
}
