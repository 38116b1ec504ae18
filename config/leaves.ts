import * as z from 'zod';
import { parseCron } from './cron.ts';
import { nearest } from './nearest.ts';
import { DURATION, formatDuration, PERCENT, parseDuration, parsePercent, parseSize, SIZE } from './quantities.ts';

// The kinds of values that stand in rewind.yaml. Each knows its own sentence: a message begins with the key's path, so the
// sentences here complete it ("instances.orders.backup.every: is …; accepted: …"). None prints what could be a secret.

/** What a YAML value is called to a person who wrote it. */
export function kindOf(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return 'text';
  if (typeof value === 'number') return 'a number';
  return typeof value === 'boolean' ? 'true or false' : 'a block of keys';
}

const notOf = (accepted: string) => (issue: { input?: unknown }) => `is ${kindOf(issue.input)}; accepted: ${accepted}`;
const quoted = (value: unknown) => JSON.stringify(value);

/** Any text, named for a person. Its value is never printed. */
export function text(accepted: string) {
  const error = ({ input }: { input?: unknown }) => {
    const quotes = typeof input === 'number' || typeof input === 'boolean' ? ' (as text it needs quotes)' : '';
    return `is ${kindOf(input)}${quotes}; accepted: ${accepted}`;
  };
  return z.string({ error }).min(1, { error: () => `is empty; accepted: ${accepted}`, abort: true });
}

/** A word that a program is started with; it may be empty, as in `--save ""`. */
export function argument() {
  return z.string({ error: ({ input }) => `is ${kindOf(input)}; accepted: text (a number needs quotes)` });
}

export function flag() {
  return z.boolean({ error: notOf('true or false') });
}

export function count(min: number, max: number) {
  const accepted = `a whole number from ${min} to ${max}`;
  const error = (issue: { input?: unknown }) =>
    typeof issue.input === 'number' ? `is ${issue.input}; accepted: ${accepted}` : notOf(accepted)(issue);
  return z.int({ error }).min(min, { error }).max(max, { error });
}

export function choice<const T extends readonly [string, ...string[]]>(values: T) {
  return z.enum(values, {
    error: ({ input }) => {
      if (typeof input !== 'string') return notOf(values.join(' | '))({ input });
      const meant = nearest(input, values);
      return `is ${quoted(input)}${meant ? `, did you mean ${meant}?` : ''}; accepted: ${values.join(' | ')}`;
    },
  });
}

/** A duration; the parsed value is seconds. */
export function duration(min = '1s', max = '3650d') {
  const accepted = 'a whole number and a unit (ms, s, m, h, d, w), such as 30m or 6h';
  const [low, high] = [parseDuration(min)!, parseDuration(max)!];
  return z
    .string({ error: notOf(accepted) })
    .regex(DURATION, { error: ({ input }) => `is ${quoted(input)}; accepted: ${accepted}` })
    .transform((written, context) => {
      const seconds = parseDuration(written)!;
      if (seconds >= low && seconds <= high) return seconds;
      context.addIssue(`is ${written}; accepted: from ${formatDuration(low)} to ${formatDuration(high)}`);
      return z.NEVER;
    })
    .meta({ title: 'duration' });
}

/** A size of at least one byte; the parsed value is bytes. */
export function size() {
  const accepted = 'a number and a unit (b, kb, mb, gb, tb), such as 512mb or 8gb';
  return z
    .string({ error: notOf(accepted) })
    .regex(SIZE, { error: ({ input }) => `is ${quoted(input)}; accepted: ${accepted}` })
    .transform((written, context) => {
      const bytes = parseSize(written)!;
      if (bytes >= 1 && Number.isSafeInteger(bytes)) return bytes;
      context.addIssue(`is ${written}; accepted: ${accepted}`);
      return z.NEVER;
    })
    .meta({ title: 'size' });
}

/** A share written as "20%"; the parsed value is 0 to 100. */
export function percent() {
  const accepted = 'a percentage from 0% to 100%, such as 20%';
  return z
    .string({ error: notOf(accepted) })
    .regex(PERCENT, { error: ({ input }) => `is ${quoted(input)}; accepted: ${accepted}` })
    .transform((written, context) => {
      const value = parsePercent(written);
      if (value !== undefined) return value;
      context.addIssue(`is ${written}; accepted: ${accepted}`);
      return z.NEVER;
    })
    .meta({ title: 'percentage' });
}

/** Five fields of cron, UTC. */
export function cron() {
  const accepted = 'five fields of cron in UTC, such as "0 */6 * * *"';
  return z
    .string({ error: notOf(accepted) })
    .check((payload) => {
      const read = parseCron(payload.value);
      if (typeof read === 'string') {
        payload.issues.push({ code: 'custom', input: payload.value, message: `${read}; accepted: ${accepted}` });
      }
    })
    .meta({ title: 'cron expression' });
}

const secretAccepted = '{ env: NAME } or { file: PATH }';

/** A secret by reference. Whatever stands here instead is refused without being printed. */
export function secret() {
  // The name is not printed: whoever mistakes the key for its value writes the secret here.
  const env = text('the name of an environment variable').regex(/^[A-Za-z_][A-Za-z0-9_]*$/, {
    error: () =>
      'is no name of an environment variable (letters, digits and _); accepted: { env: NAME } or { file: PATH }',
  });
  const file = text('the path of a file');
  return z
    .union(
      [
        z.strictObject({ env: env.describe('Environment variable that holds the secret.') }),
        z.strictObject({ file: file.describe('File that holds the secret; a newline at its end does not count.') }),
      ],
      {
        error: ({ input }) =>
          typeof input === 'string' || typeof input === 'number'
            ? `is written out (not shown); a secret is never inline; accepted: ${secretAccepted}`
            : `is ${kindOf(input)}${input && typeof input === 'object' ? ' that names no secret' : ''}; accepted: ${secretAccepted}`,
      },
    )
    .meta({ title: 'secret, `{ env: NAME }` or `{ file: PATH }`' });
}
