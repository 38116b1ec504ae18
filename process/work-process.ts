import { type ChildProcess, fork } from 'node:child_process';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { ErrorCode } from '../errors/catalogue.ts';
import { RewindError } from '../errors/rewind-error.ts';

interface Failed {
  readonly failed: {
    readonly code: ErrorCode;
    readonly message: string;
    readonly safe: string;
    readonly next: string;
    readonly details: Readonly<Record<string, unknown>>;
  };
}

/** The last word of a process that works for its parent. */
export type LastWord<Done> = { readonly done: Done } | Failed;

export interface WorkSpec {
  /** One that calls `workForParent`. */
  readonly script: URL;
  /** What it means when it ends without a last word, and how it ended: `with code 1`, `by SIGKILL`. */
  readonly died: (how: string, cause?: unknown) => RewindError;
  /** It talks to servers: then it is told where certificates are. Of the environment it needs nothing else. */
  readonly connects?: boolean;
  readonly execArgv?: readonly string[];
  /** A stream is fed to its standard input. */
  readonly takesStream?: boolean;
  /** A descriptor of the caller's, which it finds as number 4. */
  readonly descriptor?: number;
}

/** A process that does one thing for this one; it ends with this one, and is ended when its last word is there. */
export interface Work<Order, Done> {
  readonly stdin: Writable | null;
  /** Plain data, secrets included: it goes over a pipe, not in arguments or the environment. */
  tell(order: Order): void;
  /** Gives it up: it is killed, and `ended` rejects. */
  fail(error: unknown): void;
  /** Its result, once it is gone. @throws what it threw; `died`; what `fail` was given */
  ended(): Promise<Done>;
}

/**
 * Starts a process, so that the caller's event loop stays free and a fault in there is an error here and no crash.
 *
 * @param onNews what it tells on its way; what that throws fails the work
 */
export function startWork<Order extends object, News extends object, Done>(
  spec: WorkSpec,
  onNews: (news: News) => void,
): Work<Order, Done> {
  const { promise, resolve, reject } = Promise.withResolvers<Done>();
  promise.catch(() => undefined);
  const child = startChild(spec);
  const gone = endOf(child, spec);
  gone.then(reject);
  child.on('message', (said: News | LastWord<Done>) => {
    if ('done' in said) resolve(said.done as Done);
    else if ('failed' in said) reject(thrown(said as Failed));
    else {
      try {
        onNews(said as News);
      } catch (error) {
        reject(error);
      }
    }
  });
  return {
    stdin: child.stdin,
    tell: (order) => void (child.connected && child.send(order, () => {})),
    fail: reject,
    ended: async () => {
      try {
        return await promise;
      } finally {
        child.kill('SIGKILL');
        await gone;
      }
    },
  };
}

const thrown = ({ failed }: Failed) => new RewindError(failed.code, failed.message, failed);

function startChild({ script, connects, execArgv = [], takesStream, descriptor }: WorkSpec): ChildProcess {
  // Where libraries are, and its own code compiled: with that it starts in a third of the time.
  const { LD_LIBRARY_PATH, NODE_COMPILE_CACHE, NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, SSL_CERT_DIR } = process.env;
  const certificates = connects ? { NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, SSL_CERT_DIR } : {};
  const env = Object.entries({ LD_LIBRARY_PATH, NODE_COMPILE_CACHE, ...certificates });
  return fork(fileURLToPath(script), [], {
    stdio: [takesStream ? 'pipe' : 'ignore', 'ignore', 'inherit', 'ipc', descriptor ?? 'ignore'],
    serialization: 'advanced',
    execArgv: [...execArgv],
    env: Object.fromEntries(env.filter(([, value]) => value !== undefined)),
  });
}

/** Settles when the process is gone, or could not be started, with what that means where no last word came before. */
function endOf(child: ChildProcess, { died }: WorkSpec): Promise<RewindError> {
  return new Promise((resolve) => {
    child.once('exit', (code, killed) => resolve(died(killed === null ? `with code ${code}` : `by ${killed}`)));
    child.once('error', (cause) => resolve(died(`before it began: ${cause.message}`, cause)));
  });
}
