/**
 * LZF, as Redis stores long strings (lzf_d.c): a control byte below 32 is followed by that many + 1 literal bytes; any
 * other copies 3 to 264 bytes from up to 8,192 bytes back.
 */

/** How far back a copy may reach: what has to be kept of the output. */
export const lzfHistory = 8192;
/** The most that one token makes. */
export const lzfLongestToken = 264;
/** The most that n compressed bytes can make is n times this (3 bytes make 264). */
export const lzfLargestRatio = 88;

/** Where an expansion stands: `input` and `output` move, the rest is the caller's. */
export interface LzfState {
  input: number;
  output: number;
}

/**
 * Expands whole tokens from `src[state.input, end)` to `dst[state.output…]` until the next token is cut off by `end`
 * or `dst` has no room for a longest token before `dstEnd`. False where a token points before the output's beginning.
 */
export function lzfExpand(state: LzfState, src: Uint8Array, end: number, dst: Uint8Array, dstEnd: number): boolean {
  let ip = state.input;
  let op = state.output;
  const last = dstEnd - lzfLongestToken;
  while (ip < end && op <= last) {
    const control = src[ip]!;
    if (control < 32) {
      const stop = ip + control + 2;
      if (stop > end) break;
      ip++;
      while (ip < stop) dst[op++] = src[ip++]!;
      continue;
    }
    let length = control >> 5;
    let next = ip + 1;
    if (length === 7) {
      if (next >= end) break;
      length += src[next++]!;
    }
    if (next >= end) break;
    let from = op - ((control & 0x1f) << 8) - src[next]! - 1;
    if (from < 0) return false;
    ip = next + 1;
    length += 2;
    if (length > 48 && op - from >= length) {
      dst.copyWithin(op, from, from + length);
      op += length;
    } else {
      const stop = op + length;
      while (op < stop) dst[op++] = dst[from++]!;
    }
  }
  state.input = ip;
  state.output = op;
  return true;
}
