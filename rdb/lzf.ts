/**
 * LZF, as Redis stores long strings (lzf_d.c): a control byte below 32 is followed by that many + 1 literal bytes; any
 * other copies 3 to 264 bytes from up to 8,192 bytes back.
 */

/** How far back a copy may reach: what has to be kept of the output. */
export const lzfHistory = 8192;
/** The most that one token makes. */
const lzfLongestToken = 264;
/** Room that the output has to have for one more token. */
export const lzfRoom = lzfLongestToken + 8;
/** The most that n compressed bytes can make is n times this (3 bytes make 264). */
export const lzfLargestRatio = 88;

/** Where an expansion stands: `input` and `output` move, the rest is the caller's. */
export interface LzfState {
  input: number;
  output: number;
}

/** The longest run of literal bytes. */
const longestRun = 32;
/** Bytes that are copied at a time; what is copied too far is overwritten by the next token. */
const step = 8;

/**
 * Expands whole tokens from `src[state.input, end)` to `dst[state.output…]` until the next token is cut off by `end`
 * or `dst` has no room for a longest token before `dstEnd`. False where a token points before the output's beginning.
 */
export function lzfExpand(state: LzfState, src: DataView, end: number, dst: DataView, dstEnd: number): boolean {
  let ip = state.input;
  let op = state.output;
  const lastStart = dstEnd - lzfLongestToken - step;
  const lastRun = src.byteLength - longestRun - step;
  while (ip < end && op <= lastStart) {
    const control = src.getUint8(ip);
    if (control < longestRun) {
      const stop = ip + control + 2;
      if (stop > end) break;
      let from = ip + 1;
      ip = stop;
      let to = op;
      op += control + 1;
      if (from <= lastRun) {
        for (; to < op; to += step, from += step) dst.setBigInt64(to, src.getBigInt64(from));
      } else {
        while (to < op) dst.setUint8(to++, src.getUint8(from++));
      }
      continue;
    }
    let length = control >> 5;
    let next = ip + 1;
    if (length === 7) {
      if (next >= end) break;
      length += src.getUint8(next++);
    }
    if (next >= end) break;
    let from = op - ((control & 0x1f) << 8) - src.getUint8(next) - 1;
    if (from < 0) return false;
    ip = next + 1;
    let to = op;
    op += length + 2;
    if (to - from >= step) {
      for (; to < op; to += step, from += step) dst.setBigInt64(to, dst.getBigInt64(from));
    } else {
      while (to < op) dst.setUint8(to++, dst.getUint8(from++));
    }
  }
  state.input = ip;
  state.output = op;
  return true;
}
