/** How many digits a whole number from 0 on has. */
export function decimalDigits(value: number): number {
  let digits = 1;
  for (let limit = 10; value >= limit; limit *= 10) digits++;
  return digits;
}

/** Writes a whole number from 0 on; answers where it ends. */
export function writeDecimal(bytes: Uint8Array, at: number, value: number): number {
  const end = at + decimalDigits(value);
  let rest = value;
  for (let i = end - 1; i >= at; i--) {
    const tens = Math.floor(rest / 10);
    bytes[i] = 0x30 + (rest - tens * 10);
    rest = tens;
  }
  return end;
}
