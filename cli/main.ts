#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Argument, Command, CommanderError, Option } from 'commander';
import { correctedInput } from './corrected-input.ts';
import { type ExitCode, type Output, outputTo } from './output.ts';

/** What every command is handed: where it runs, and how it answers. */
export interface CliContext {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly configPath?: string;
  readonly output: Output;
  readonly signal: AbortSignal;
}

type Run<Options> = (context: CliContext, options: Options, ...names: string[]) => Promise<ExitCode>;

const manifest = new URL(import.meta.url.endsWith('.ts') ? '../package.json' : '../../package.json', import.meta.url);
const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };

const interrupted = new AbortController();
let exitCode: ExitCode = 0;

/** Loads a command's module when it is called, so that `--help` answers at once. */
function runs<Options>(load: () => Promise<Run<Options>>) {
  return async (...args: unknown[]) => {
    const command = args.at(-1) as Command;
    const options = command.optsWithGlobals<{ json?: boolean; config?: string } & Options>();
    const output = outputTo(options.json === true, process.stdout, process.stderr);
    const names = command.processedArgs as string[];
    try {
      const run = await load();
      exitCode = await run(
        { cwd: process.cwd(), env: process.env, configPath: options.config, output, signal: interrupted.signal },
        options,
        ...names,
      );
    } catch (error) {
      exitCode = output.error(error);
      if (process.env.DEBUG?.includes('redis-rewind')) console.error(error);
    }
  };
}

/** npm hands a Ctrl-C on although the terminal has sent it to everybody already: within this time, in milliseconds, they are one. */
const SAME_KEY_MS = 300;

/** The first asks for an orderly end; a second, once it cannot be the same one, ends this process as it would any other. */
function interruptedBy(signal: NodeJS.Signals, reason: string): void {
  process.once(signal, () => {
    interrupted.abort(new Error(reason));
    const ignore = () => {};
    process.on(signal, ignore);
    setTimeout(() => process.removeListener(signal, ignore), SAME_KEY_MS).unref();
  });
}

const program = new Command('rewind')
  .description('Backups of Redis that are proven by loading them; recovery as durable Temporal workflows.')
  .version(version)
  .option('-c, --config <path>', 'configuration (else REWIND_CONFIG, else ./rewind.yaml, else embedded defaults)')
  .option('--json', 'one JSON document on stdout and nothing else there')
  .addHelpText(
    'after',
    '\nExit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 the goal was not\nmet, 4 rejected at a gate.',
  )
  .exitOverride();

program
  .command('up')
  .description('bring up everything on this machine, take and prove a first backup, stay up')
  .option('--once', 'end after the first backups; 0 only if every one was verified')
  .action(runs(async () => (await import('./up.ts')).up));

program
  .command('worker')
  .description('run one role of a deployment')
  .addOption(new Option('--role <role>', 'which').choices(['orchestrator', 'host', 'sandbox']).makeOptionMandatory())
  .option('--instance <name...>', 'instances whose agent this is (role host; default: all)')
  .action(runs(async () => (await import('./worker.ts')).worker));

program
  .command('check')
  .description('is this instance recoverable as it stands? each finding with its consequence and what mends it')
  .argument('[name]', 'instance (default: all)')
  .action(runs(async () => (await import('./check.ts')).check));

program
  .command('plan')
  .description('what the configuration means, and what apply would change')
  .action(runs(async () => (await import('./plan.ts')).plan));

program
  .command('apply')
  .description('make it so: schedules and archives are created, updated and removed; what is not ours is never touched')
  .option('--yes', 'also begin an archive whose replication link counts for min-replicas-to-write')
  .option('--enable-aof', 'also switch the append-only file on, at the running servers whose archive is on')
  .action(runs(async () => (await import('./apply.ts')).apply));

program
  .command('status')
  .description('RPO now and RTO last measured, against their objectives; what runs, what waits for a person')
  .argument('[name]', 'instance (default: all)')
  .addHelpText(
    'after',
    [
      '',
      'RPO: age of the last verified backup, from the start of its save.',
      'RTO: what the last proof measured, download and load of the dump; until there are restore drills.',
      'Exit code 3: an objective is not met, or nothing is proven.',
    ].join('\n'),
  )
  .action(runs(async () => (await import('./status.ts')).status));

program
  .command('adopt')
  .description('say that the server which answers now is the instance, though it is not the one of its backups')
  .argument('<name>', 'instance')
  .action(runs(async () => (await import('./adopt.ts')).adopt));

program
  .command('config')
  .description('about rewind.yaml')
  .command('schema')
  .description('print its JSON Schema, for completion in editors')
  .action(runs(async () => (await import('./config-schema.ts')).configSchema));

program
  .command('backup')
  .description('run a backup now and follow it')
  .argument('<name>', 'instance')
  .option('--without-temporal', 'run the same steps here, when Temporal is down')
  .action(runs(async () => (await import('./backup.ts')).backup));

program
  .command('backups')
  .description('the catalogue: id, time, tier, size, keys, state')
  .argument('<name>', 'instance')
  .option('--all', 'with those that failed a check')
  .action(runs(async () => (await import('./backups.ts')).backups));

program
  .command('verify')
  .description('prove a stored backup by loading it; or the archive, by its chain and a replay')
  .argument('<name>', 'instance')
  .argument('[backup]', 'its id')
  .option('--archive', 'prove the archive, on this machine and without Temporal')
  .action(runs(async () => (await import('./verify.ts')).verify));

program
  .command('timeline')
  .description('every moment of the archive that can be restored; gaps and destructive commands marked')
  .argument('<name>', 'instance')
  .action(runs(async () => (await import('./timeline.ts')).timeline));

program
  .command('restore')
  .description('bring a backup back: into a sandbox, a folder, the live server or another instance')
  .argument('<name>', 'instance')
  .option('--to <what>', 'latest, before-flush, a time, a position, or the id of a backup (default: latest)')
  .option('--timeline <number>', 'of the archive (default: the newest one that holds the moment)')
  .option('--into <where>', 'sandbox, live, instance:NAME, or an absolute folder (default: sandbox)')
  .option('--on-conflict <rule>', 'keep-live, take-backup or replace-all (default: keep-live)')
  .option('--match <pattern>', 'only keys whose names match, as of KEYS')
  .option('--db <number>', 'only keys of this database')
  .option('--key-file <path>', 'only keys that this file names, one a line')
  .option('--ttl <rule>', 'keep, shift (later by the age of the backup) or drop (default: keep)')
  .option('--compare <when>', 'after, or full-before-unfence (default: after)')
  .option('--dry-run', 'show what would be done, and do nothing')
  .option('--without-temporal', 'run the same steps here, when Temporal is down')
  .option('-y, --yes', 'with --without-temporal: do not ask')
  .action(runs(async () => (await import('./restore.ts')).restore));

program
  .command('runbook')
  .description('start an incident runbook, or follow the one that runs')
  .addArgument(new Argument('<kind>', 'which').choices(['node-crash', 'data-corruption', 'accidental-flush']))
  .argument('<name>', 'instance')
  .option('--to <what>', 'accidental-flush: before-flush, latest, a time, a position, or the id of a backup')
  .option('--no-fence', 'accidental-flush: leave writing to everybody meanwhile')
  .option('--on-conflict <rule>', 'accidental-flush: keep-live, take-backup or replay, as the default at the gate')
  .option('--into <where>', 'node-crash: instance:NAME where the host is lost')
  .action(runs(async () => (await import('./runbook.ts')).runbook));

program
  .command('unfence')
  .description('put back the exact rights recorded before a fence that has lost its owner')
  .argument('<name>', 'instance')
  .option('--without-temporal', 'from this machine, when Temporal is down')
  .action(runs(async () => (await import('./unfence.ts')).unfence));

program
  .command('approve')
  .description('approve what a workflow shows at its gate; bound to exactly that plan')
  .argument('<workflow>', 'workflow id as `rewind status` prints it, or an instance with one that waits')
  .option('--choice <id>', 'which of the choices (default: the one that is marked)')
  .option('--plan <digest>', 'refuse unless this plan is the one that is shown')
  .option('--approver <name>', 'who approves (default: user@host)')
  .option('--reason <text>', 'kept in the report')
  .option('--yes', 'do not ask on a terminal')
  .action(runs(async () => (await import('./approve.ts')).approve));

program
  .command('reject')
  .description('reject what a workflow shows at its gate')
  .argument('<workflow>', 'workflow id, or an instance with one that waits')
  .requiredOption('--reason <text>', 'kept in the report')
  .option('--approver <name>', 'who rejects (default: user@host)')
  .option('--yes', 'do not ask on a terminal')
  .action(runs(async () => (await import('./reject.ts')).reject));

program
  .command('retry')
  .description('have a step that could not go on tried again')
  .argument('<workflow>', 'workflow id, or an instance with one that waits')
  .option('--input <json>', 'corrected values, laid over the step’s own; no secrets', correctedInput)
  .option('--step <name>', 'which, when several are parked')
  .option('--approver <name>', 'who says so (default: user@host)')
  .option('--yes', 'do not ask on a terminal')
  .action(runs(async () => (await import('./answer-parked.ts')).retry));

program
  .command('skip')
  .description('have a step that could not go on left out, where that is safe')
  .argument('<workflow>', 'workflow id, or an instance with one that waits')
  .option('--step <name>', 'which, when several are parked')
  .option('--approver <name>', 'who says so (default: user@host)')
  .option('--yes', 'do not ask on a terminal')
  .action(runs(async () => (await import('./answer-parked.ts')).skip));

program
  .command('abort')
  .description('end a workflow at a step that could not go on; what it changed for the time being is put back')
  .argument('<workflow>', 'workflow id, or an instance with one that waits')
  .requiredOption('--reason <text>', 'kept in the report')
  .option('--step <name>', 'which, when several are parked')
  .option('--approver <name>', 'who says so (default: user@host)')
  .option('--yes', 'do not ask on a terminal')
  .action(runs(async () => (await import('./answer-parked.ts')).abort));

program
  .command('diff')
  .description('which keys differ between two of: a backup, a moment, latest, live; counts, and the names in a file')
  .argument('<name>', 'instance')
  .argument('<a>', 'id of a backup, a moment, latest or live')
  .argument('<b>', 'id of a backup, a moment, latest or live')
  .option('--keys-per-second <n>', 'at most so many keys of a live server (default 50000)')
  .addHelpText(
    'after',
    '\nRuns on this machine, without Temporal. Exit code 0 whether or not keys differ: the counts say so.',
  )
  .action(runs(async () => (await import('./diff.ts')).diff));

interruptedBy('SIGINT', 'interrupted');
interruptedBy('SIGTERM', 'terminated');

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  exitCode = error.exitCode === 0 ? 0 : 2;
}
process.exitCode = exitCode;
