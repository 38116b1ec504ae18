import { type ErrorCode, errorCatalogue } from './catalogue.ts';

/**
 * An error that an operator can act on at three in the morning: what happened (`message`), what is safe, what to do
 * next. `safe` and `next` come from the catalogue unless the place that throws knows better.
 *
 * Never put a secret or a key's value into `message` or `details`: both end in histories, logs and reports.
 */
export class RewindError extends Error {
  readonly code: ErrorCode;
  readonly safe: string;
  readonly next: string;
  /** False where doing the same again cannot help: Temporal must not retry it. */
  readonly retryable: boolean;
  /** Figures for programs: offsets, sizes, counts. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { safe?: string; next?: string; details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    const entry = errorCatalogue[code];
    this.name = code;
    this.code = code;
    this.safe = options.safe ?? entry.safe;
    this.next = options.next ?? entry.next;
    this.retryable = entry.retryable;
    this.details = options.details ?? {};
  }

  /** The form that `--json` prints (INTERFACE: `{ error: { code, message, safe, next } }`). */
  toJSON(): { code: ErrorCode; message: string; safe: string; next: string } {
    return { code: this.code, message: this.message, safe: this.safe, next: this.next };
  }
}
