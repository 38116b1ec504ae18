/** `1,234,567 keys`. */
export function keyCount(keys: number): string {
  return keys === 1 ? '1 key' : `${keys.toLocaleString('en-US')} keys`;
}

/** `2026-11-24 18:50:03 UTC`: a person reads it at three in the morning. */
export function timeWords(time: string | number): string {
  return new Date(time)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' UTC');
}

/** `5 s`, `4 min 10 s`, `3 h 2 min`, `2 days 4 h`. */
export function durationWords(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const units: readonly [string, number][] = [
    ['days', 86_400],
    ['h', 3_600],
    ['min', 60],
    ['s', 1],
  ];
  const first = units.findIndex(([, size]) => whole >= size);
  if (first < 0) return '0 s';
  let rest = whole;
  const parts: string[] = [];
  for (const [unit, size] of units.slice(first, first + 2)) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${unit === 'days' && count === 1 ? 'day' : unit}`);
  }
  return parts.join(' ');
}
