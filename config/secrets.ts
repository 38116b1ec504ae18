import { readFile } from 'node:fs/promises';
import { RewindError } from '../errors/rewind-error.ts';

/** Where a secret is kept; the configuration never holds the secret itself. */
export type SecretRef = ({ readonly env: string } | { readonly file: string }) & {
  /** Where the reference stands, for messages: "rewind.yaml:9:15: instances.orders.password". */
  readonly at: string;
};

/**
 * The secret itself. Only the process that uses it asks for it, right before it does; it is never stored or logged.
 * The newline that editors put at a file's end is not part of it.
 *
 * @throws SECRET_MISSING with the place in the configuration, and the variable or file that it names
 */
export async function resolveSecret(ref: SecretRef, env: NodeJS.ProcessEnv): Promise<string> {
  if ('env' in ref) {
    const value = env[ref.env];
    if (value) return value;
    throw missing(ref, `the environment variable ${ref.env} is ${value === undefined ? 'not set' : 'empty'}`);
  }
  const content = await readFile(ref.file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw missing(ref, `the file ${ref.file} ${WHY[error.code ?? ''] ?? `cannot be read (${error.code})`}`);
  });
  const value = content.replace(/\r?\n$/, '');
  if (value === '') throw missing(ref, `the file ${ref.file} is empty`);
  return value;
}

const WHY: Record<string, string> = {
  ENOENT: 'does not exist',
  EACCES: 'may not be read by this user',
  EISDIR: 'is a folder',
};

function missing(ref: SecretRef, why: string): RewindError {
  return new RewindError('SECRET_MISSING', `${ref.at}: ${why}`);
}
