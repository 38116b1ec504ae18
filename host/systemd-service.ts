import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { RewindError } from '../errors/rewind-error.ts';
import { endWith } from './last-save.ts';
import { lastLogLines, logLength, reasonIn, withoutNames } from './log-words.ts';
import { runCommand, runToSuccess } from './run-command.ts';
import type { HostService, LastExit, ServiceState, ServiceSurroundings } from './service.ts';
import { startByCommand } from './start-by-command.ts';

const properties = [
  'LoadState',
  'ActiveState',
  'SubState',
  'Result',
  'ExecMainCode',
  'ExecMainStatus',
  'ExecMainExitTimestamp',
  'ExecMainPID',
];
const journalLines = 20;
const pollMs = 200;
const stopPatienceMs = 10_000;
/** ExecMainCode, as waitid(2) numbers it. */
const [exited, killed, dumped] = ['1', '2', '3'];

/** A unit of systemd, by `systemctl`. The agent needs the right to start and stop it (polkit, or root). */
export function systemdService(unit: string, around: ServiceSurroundings): HostService {
  const systemctl = (...args: string[]) => ['systemctl', '--no-ask-password', ...args];

  const show = async (): Promise<Record<string, string>> => {
    const { stdout } = await runToSuccess(systemctl('show', unit, `--property=${properties.join(',')}`));
    return Object.fromEntries(
      stdout
        .split('\n')
        .filter((line) => line.includes('='))
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
  };

  const lines = async (since: number): Promise<string[]> => {
    const own = around.logFile ? await lastLogLines(around.logFile, journalLines, since) : [];
    if (own.length > 0) return own;
    const journal = ['journalctl', '--unit', unit, '--lines', String(journalLines), '--no-pager', '--output', 'cat'];
    const read = await runCommand(journal).catch(() => undefined);
    return read?.code === 0 ? withoutNames(read.stdout) : [];
  };

  const state = async (): Promise<ServiceState> => {
    const now = await show();
    if (now.LoadState === 'not-found') {
      throw new RewindError('HOST_COMMAND_FAILED', `systemd knows no unit ${unit}.`);
    }
    if (now.ActiveState === 'failed') return 'failed';
    return now.ActiveState === 'inactive' ? 'stopped' : 'running';
  };

  return {
    describe: `systemctl start ${unit}`,
    state,
    async start(io) {
      const since = around.logFile ? await logLength(around.logFile) : 0;
      const lastWords = async () => reasonIn(await lines(since));
      const hasEnded = async () =>
        (await state()) === 'running' ? undefined : ((await lastWords()) ?? 'systemd says that it is not active');
      await startByCommand(systemctl('start', unit), around, { hasEnded, lastWords }, io);
    },
    async stop(io, options) {
      if ((await state()) !== 'running') return;
      await endWith(options?.lastSave ?? 'as-configured', around.target, async () => {
        await runToSuccess(systemctl('stop', unit), io.signal);
        for (const deadline = performance.now() + stopPatienceMs; (await state()) === 'running'; ) {
          if (performance.now() > deadline) {
            throw new RewindError('HOST_SERVER_NOT_STOPPED', `systemd stopped ${unit}, and it is running again.`);
          }
          await sleep(pollMs, undefined, { signal: io.signal });
        }
      });
    },
    async lastExit(): Promise<LastExit | undefined> {
      const now = await show();
      if (now.ExecMainCode === '0' || now.ExecMainCode === undefined) return undefined;
      // `Tue 2026-11-24 18:59:11 UTC`; runCommand lets programs speak English in UTC.
      const at = Date.parse((now.ExecMainExitTimestamp ?? '').replace(/^\w+ /, ''));
      const status = Number(now.ExecMainStatus);
      return {
        ...(now.ExecMainCode === exited ? { code: status } : {}),
        ...(now.ExecMainCode === killed || now.ExecMainCode === dumped ? { signal: signalName(status) } : {}),
        oomKilled: now.Result === 'oom-kill',
        ...(Number.isFinite(at) ? { at: new Date(at).toISOString() } : {}),
        lines: await lines(0),
      };
    },
  };
}

function signalName(number: number): string {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `signal ${number}`;
}
