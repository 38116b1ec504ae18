const star = 0x2a;
const question = 0x3f;
const open = 0x5b;
const close = 0x5d;
const caret = 0x5e;
const backslash = 0x5c;
const dash = 0x2d;

/**
 * Whether bytes match a pattern as `KEYS` and `SCAN … MATCH` understand it (stringmatchlen in util.c of Redis): `*`, `?`,
 * `[abc]`, `[^a]`, `[a-z]`, `\` before a special character. Like the newer servers it does not try the same again after a
 * later `*` has failed, so that no pattern takes exponential time.
 */
export function globMatches(pattern: Uint8Array, bytes: Uint8Array, start = 0, end = bytes.length): boolean {
  return match(pattern, 0, bytes, start, end, { laterFailed: false });
}

function match(
  pattern: Uint8Array,
  from: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  shared: { laterFailed: boolean },
): boolean {
  let p = from;
  let at = start;
  while (p < pattern.length && at < end) {
    switch (pattern[p]) {
      case star: {
        while (pattern[p + 1] === star) p++;
        if (p + 1 === pattern.length) return true;
        for (; at < end; at++) {
          if (match(pattern, p + 1, bytes, at, end, shared)) return true;
          if (shared.laterFailed) return false;
        }
        // What follows this star is nowhere: an earlier star need not look for it further on.
        shared.laterFailed = true;
        return false;
      }
      case question:
        at++;
        break;
      case open: {
        const set = matchSet(pattern, p + 1, bytes[at]!);
        if (!set.matches) return false;
        p = set.closedAt;
        at++;
        break;
      }
      case backslash:
        if (p + 1 < pattern.length) p++;
        if (pattern[p] !== bytes[at]) return false;
        at++;
        break;
      default:
        if (pattern[p] !== bytes[at]) return false;
        at++;
    }
    p++;
    if (at === end) {
      while (pattern[p] === star) p++;
      break;
    }
  }
  // An empty string is matched by stars alone.
  if (start === end) while (pattern[p] === star) p++;
  return p >= pattern.length && at === end;
}

/** A set `[…]` whose content begins at `from`; one that is not closed ends with the pattern. */
function matchSet(pattern: Uint8Array, from: number, byte: number): { matches: boolean; closedAt: number } {
  let p = from;
  const not = pattern[p] === caret;
  if (not) p++;
  let found = false;
  for (; ; p++) {
    if (p >= pattern.length) return { matches: found !== not, closedAt: pattern.length - 1 };
    if (pattern[p] === backslash && p + 1 < pattern.length) {
      p++;
      if (pattern[p] === byte) found = true;
    } else if (pattern[p] === close) {
      return { matches: found !== not, closedAt: p };
    } else if (pattern[p + 1] === dash && p + 2 < pattern.length) {
      const [low, high] = [Math.min(pattern[p]!, pattern[p + 2]!), Math.max(pattern[p]!, pattern[p + 2]!)];
      p += 2;
      if (byte >= low && byte <= high) found = true;
    } else if (pattern[p] === byte) {
      found = true;
    }
  }
}
