const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes that are no UTF-8 become these, one each (as Python's `surrogateescape`): no text of Redis' can hold them. */
const ESCAPED = 0xdc00;

/**
 * Names of users and patterns of keys are bytes, not text: what is not UTF-8 must survive the way through a record in
 * JSON, or the wrong user would be given its rights back. {@link bytesOfAcl} is the exact inverse.
 */
export function textOfAcl(bytes: Buffer): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return String.fromCharCode(...[...bytes].map((byte) => (byte < 0x80 ? byte : ESCAPED + byte)));
  }
}

export function bytesOfAcl(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text);
  return Buffer.concat(
    [...text].map((character) => {
      const byte = character.charCodeAt(0) - ESCAPED;
      return character.length === 1 && byte >= 0x80 && byte <= 0xff ? Buffer.from([byte]) : Buffer.from(character);
    }),
  );
}
