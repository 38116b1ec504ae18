import type { StepIO } from '../process/step-io.ts';
import { runToSuccess } from './run-command.ts';
import type { ServiceSurroundings } from './service.ts';
import { waitLoaded } from './wait-loaded.ts';

interface Watch {
  /** Why it has ended, once its command has; undefined while it may still come. */
  readonly hasEnded?: () => Promise<string | undefined>;
  readonly lastWords: () => Promise<string | undefined>;
}

/** How long a command may go on after the server answers before it is left to itself, in milliseconds. */
const commandGraceMs = 5_000;

/**
 * Runs the command that starts a server and asks the server meanwhile how far it is: a command that waits until all is
 * loaded gives no sign of life, one that returns at once proves nothing, and one that *is* the server never returns.
 *
 * @throws HOST_COMMAND_FAILED, HOST_SERVER_NOT_LOADED, REDIS_REFUSED_LOGIN
 */
export async function startByCommand(
  argv: readonly string[],
  around: ServiceSurroundings,
  watch: Watch,
  io: StepIO,
): Promise<void> {
  let failure: unknown;
  let returned = false;
  const running = new AbortController();
  const abort = () => running.abort(io.signal.reason);
  io.signal.addEventListener('abort', abort, { once: true });
  const command = runToSuccess(argv, running.signal).then(
    () => {
      returned = true;
    },
    (error: unknown) => {
      failure = error;
    },
  );
  const ended = async () => {
    if (failure !== undefined) return (await watch.lastWords()) ?? (failure as Error).message;
    return returned ? watch.hasEnded?.() : undefined;
  };
  try {
    await waitLoaded(around.target, { ended, lastWords: watch.lastWords, silentMs: around.silentMs }, io);
    let grace: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((settle) => {
      grace = setTimeout(settle, commandGraceMs);
    });
    await Promise.race([command, patience]);
    clearTimeout(grace);
  } catch (error) {
    // A unit that is not there, or no right to start it: the command says more than a server that was never started.
    if (failure !== undefined && (await watch.lastWords()) === undefined) throw failure;
    throw error;
  } finally {
    io.signal.removeEventListener('abort', abort);
  }
}
