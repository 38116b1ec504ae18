/** Builds append-only files byte by byte. */

export type Word = string | number | Uint8Array;

/** A command as a server writes it to its append-only file. */
export function resp(...words: readonly Word[]): Buffer {
  const parts = [Buffer.from(`*${words.length}\r\n`)];
  for (const word of words) {
    const bytes = word instanceof Uint8Array ? word : Buffer.from(String(word));
    parts.push(Buffer.from(`$${bytes.length}\r\n`), Buffer.from(bytes), Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

export const timestamp = (seconds: number): Buffer => Buffer.from(`#TS:${seconds}\r\n`);
