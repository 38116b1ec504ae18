import { isUtf8 } from 'node:buffer';

/** A key's name as JSON can carry it: in base64 where it is no UTF-8. */
export type KeyName = { readonly key: string } | { readonly key: string; readonly base64: true };

export function keyName(key: Buffer): KeyName {
  return isUtf8(key) ? { key: key.toString() } : { key: key.toString('base64'), base64: true };
}

export function keyBytes(name: { readonly key: string; readonly base64?: boolean }): Buffer {
  return Buffer.from(name.key, name.base64 ? 'base64' : 'utf8');
}

/** One line of a file of names. */
export function keyLine(db: number, key: Buffer, what: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify({ db, ...keyName(key), ...what })}\n`;
}
