import { setTimeout as sleep } from 'node:timers/promises';
import { RewindError } from '../errors/rewind-error.ts';
import { addressOf } from '../redis/connection.ts';
import { endWith } from './last-save.ts';
import { askLoadState } from './loading-progress.ts';
import { lastLogLines, logLength, reasonIn } from './log-words.ts';
import { runToSuccess } from './run-command.ts';
import type { HostService, ServiceState, ServiceSurroundings } from './service.ts';
import { startByCommand } from './start-by-command.ts';

const exitLines = 20;
const pollMs = 200;
/** How long a server may still answer after the command that stops it has returned: it may be writing its last dump. */
const stopPatienceMs = 10 * 60_000;

/** Two commands of the operator's own. Whether the server runs is known only by whether it answers. */
export function commandService(
  { start, stop }: { readonly start: readonly string[]; readonly stop: readonly string[] },
  around: ServiceSurroundings,
): HostService {
  const state = async (): Promise<ServiceState> =>
    (await askLoadState(around.target)).state === 'silent' ? 'stopped' : 'running';
  const lines = (since: number) =>
    around.logFile ? lastLogLines(around.logFile, exitLines, since) : Promise.resolve([]);
  return {
    describe: start.join(' '),
    state,
    async start(io) {
      const since = around.logFile ? await logLength(around.logFile) : 0;
      const lastWords = async () => reasonIn(await lines(since));
      const argv = (await state()) === 'running' ? ['true'] : start;
      await startByCommand(argv, around, { lastWords }, io);
    },
    async stop(io, options) {
      if ((await state()) === 'stopped') return;
      await endWith(options?.lastSave ?? 'as-configured', around.target, async () => {
        await runToSuccess(stop, io.signal);
        for (const deadline = performance.now() + stopPatienceMs; (await state()) === 'running'; ) {
          if (performance.now() > deadline) {
            throw new RewindError(
              'HOST_SERVER_NOT_STOPPED',
              `${stop.join(' ')} succeeded, and Redis at ${addressOf(around.target)} still answers.`,
            );
          }
          await sleep(pollMs, undefined, { signal: io.signal });
        }
      });
    },
    async lastExit() {
      if ((await state()) === 'running') return undefined;
      const said = await lines(0);
      return said.length === 0 ? undefined : { lines: said };
    },
  };
}
