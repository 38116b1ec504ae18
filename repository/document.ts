import type * as z from 'zod';
import type { ErrorCode } from '../errors/catalogue.ts';
import { RewindError } from '../errors/rewind-error.ts';

/** How a kind of JSON document is called when it cannot be read, and how new one may be. */
export interface DocumentKind {
  readonly code: ErrorCode;
  /** A newer `formatVersion` is refused with a sentence of its own; absent: the schema alone decides. */
  readonly newestVersion?: number;
}

/** Reads what others may have written: it says what is wrong with it but never quotes it. @throws the kind's code */
export function parseDocument<T>(kind: DocumentKind, schema: z.ZodType<T>, bytes: Buffer, key: string): T {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw invalidDocument(kind, key, 'it is no JSON');
  }
  const version = (document as { formatVersion?: unknown } | null)?.formatVersion;
  const { newestVersion } = kind;
  if (newestVersion !== undefined && typeof version === 'number' && version > newestVersion) {
    const what = `its format version ${version} is newer than ${newestVersion}, the newest that is known here`;
    throw invalidDocument(kind, key, what);
  }
  return checkDocument(kind, schema, document, key);
}

/** @throws the kind's code, with the path of the first field that is wrong */
export function checkDocument<T>(kind: DocumentKind, schema: z.ZodType<T>, document: unknown, key: string): T {
  const parsed = schema.safeParse(document);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.map(String).join('.').slice(0, 200) || 'it';
  throw invalidDocument(kind, key, `${where}: ${issue?.code ?? 'invalid'}`);
}

export function invalidDocument({ code }: DocumentKind, key: string, what: string): RewindError {
  return new RewindError(code, `${key} cannot be read: ${what}.`);
}
