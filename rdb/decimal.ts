/** Where integers are written as text; overwritten by the next one. */
export const decimalText = new Uint8Array(24);

/**
 * Writes an integer as the decimal text that a server answers for it and returns where it begins; it ends at the end
 * of `decimalText`. Encodings that keep integers hold the same value as the text: both have to read alike.
 */
export function writeDecimal(value: number | bigint): number {
  if (typeof value === 'bigint') {
    const text = value.toString();
    const start = decimalText.length - text.length;
    for (let i = 0; i < text.length; i++) decimalText[start + i] = text.charCodeAt(i);
    return start;
  }
  let at = decimalText.length;
  let rest = Math.abs(value);
  while (rest > 0x7fff_ffff) {
    const tenth = Math.floor(rest / 10);
    decimalText[--at] = 48 + (rest - tenth * 10);
    rest = tenth;
  }
  let small = rest | 0;
  do {
    const tenth = (small / 10) | 0;
    decimalText[--at] = 48 + (small - tenth * 10);
    small = tenth;
  } while (small !== 0);
  if (value < 0) decimalText[--at] = 45;
  return at;
}
