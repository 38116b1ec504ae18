/** All that are exact as doubles. */
const powersOfTen = Array.from({ length: 23 }, (_, n) => Number(`1e${n}`));
/** Integers of this many digits are exact as doubles, and so is one division of them by a power of ten up to 22. */
const exactDigits = 15;
/** So many are read in two parts; `%.17g` writes up to 17, and a zero before the point. */
const mostDigits = 19;
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
  let rest = 0;
  let point = -1;
  for (; at < end; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit >= 0 && digit <= 9) {
      if (digits < exactDigits) value = value * 10 + digit;
      else rest = rest * 10 + digit;
      digits++;
    } else if (bytes[at] === 0x2e && point < 0) {
      point = digits;
    } else {
      return parseUncommon(bytes, start, end);
    }
  }
  if (digits === 0 || digits > mostDigits) return parseUncommon(bytes, start, end);
  const decimals = point < 0 ? 0 : digits - point;
  if (digits > exactDigits)
    value = longDecimal(value, rest, powersOfTen[digits - exactDigits]!, powersOfTen[decimals]!);
  else if (decimals > 0) value /= powersOfTen[decimals]!;
  if (Number.isNaN(value)) return parseUncommon(bytes, start, end);
  return negative ? -value : value;
}

const splitter = 2 ** 27 + 1;
/** How little the last correction is known to be off, by far: what both of its ends round to is right. */
const uncertainty = 2 ** -40;

/** What `a * b` is short of the product (T. J. Dekker, A floating-point technique for extending the available precision). */
function productError(a: number, b: number, product: number): number {
  const a1 = splitter * a;
  const high = a1 - (a1 - a);
  const low = a - high;
  const b1 = splitter * b;
  const bHigh = b1 - (b1 - b);
  const bLow = b - bHigh;
  return high * bHigh - product + high * bLow + low * bHigh + low * bLow;
}

/**
 * The double nearest to (value * shift + rest) / divisor, for integers; NaN where it is too near to the middle of two to
 * be told so: a quotient, and what is missing of it, each as far as doubles go.
 */
function longDecimal(value: number, rest: number, shift: number, divisor: number): number {
  const product = value * shift;
  const high = product + rest;
  const low = rest - (high - product) + productError(value, shift, product);
  const quotient = (high + low) / divisor;
  const back = quotient * divisor;
  const missing = (high - back - productError(quotient, divisor, back) + low) / divisor;
  const least = quotient + missing * (1 - uncertainty);
  return least === quotient + missing * (1 + uncertainty) ? least : Number.NaN;
}

/** Still more digits, an exponent, infinity, or no number. */
function parseUncommon(bytes: Uint8Array, start: number, end: number): number {
  const text = Buffer.prototype.toString.call(bytes, 'latin1', start, end);
  if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text)) return Number(text);
  if (/^[+]?inf(?:inity)?$/i.test(text)) return Number.POSITIVE_INFINITY;
  if (/^-inf(?:inity)?$/i.test(text)) return Number.NEGATIVE_INFINITY;
  return Number.NaN;
}
