const decimalNumber = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/**
 * A score as a server writes it in text (`%.17g`, its own shortest form, `inf`, `-inf`) as a double; NaN where it is
 * none. Also reads what a server answers to ZRANGE … WITHSCORES.
 */
export function parseScore(bytes: Uint8Array, start: number, end: number): number {
  if (end - start > 128 || start === end) return Number.NaN;
  let text = '';
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!);
  if (decimalNumber.test(text)) return Number(text);
  if (/^[+]?inf(?:inity)?$/i.test(text)) return Number.POSITIVE_INFINITY;
  if (/^-inf(?:inity)?$/i.test(text)) return Number.NEGATIVE_INFINITY;
  return Number.NaN;
}
