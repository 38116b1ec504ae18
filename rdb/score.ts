const powersOfTen = Array.from({ length: 16 }, (_, n) => 10 ** n);
/** Integers of this many digits are exact as doubles, and so is one division of them by a power of ten up to 22. */
const exactDigits = 15;
const longestScore = 128;

/**
 * A score as a server writes it in text (`%.17g`, its own shortest form, `inf`, `-inf`) as a double; NaN where it is
 * none. Also reads what a server answers to ZRANGE … WITHSCORES.
 */
export function parseScore(bytes: Uint8Array, start: number, end: number): number {
  if (start >= end || end - start > longestScore) return Number.NaN;
  const negative = bytes[start] === 0x2d;
  let at = negative ? start + 1 : start;
  let digits = 0;
  let value = 0;
  let point = -1;
  for (; at < end; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit >= 0 && digit <= 9) {
      value = value * 10 + digit;
      digits++;
    } else if (bytes[at] === 0x2e && point < 0) {
      point = digits;
    } else {
      return parseUncommon(bytes, start, end);
    }
  }
  if (digits === 0 || digits > exactDigits) return parseUncommon(bytes, start, end);
  if (point >= 0) value /= powersOfTen[digits - point]!;
  return negative ? -value : value;
}

/** More digits than are exact, an exponent, infinity, or no number. */
function parseUncommon(bytes: Uint8Array, start: number, end: number): number {
  const text = Buffer.prototype.toString.call(bytes, 'latin1', start, end);
  if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text)) return Number(text);
  if (/^[+]?inf(?:inity)?$/i.test(text)) return Number.POSITIVE_INFINITY;
  if (/^-inf(?:inity)?$/i.test(text)) return Number.NEGATIVE_INFINITY;
  return Number.NaN;
}
