import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  Client,
  Connection,
  ScheduleNotFoundError,
  type WorkflowHandle,
  type WorkflowHandleWithFirstExecutionRunId,
} from '@temporalio/client';
import Long from 'long';
import { stringify } from 'yaml';
import type { ConfigInput } from '../../config/schema.ts';
import type { Role } from '../../workers/role.ts';
import type { ScheduledBackupResult } from '../../workflows/scheduled-backup.ts';
import { searchAttributes } from '../../workflows/search-attributes.ts';
import { redisBinary } from './servers.ts';
import { temporaryFolder } from './temporary-folder.ts';

const cli = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
const roles = ['orchestrator', 'host', 'sandbox'] as const;

/** Three workers as in a real deployment: processes of their own, each in a folder that no other one knows. */
export interface Deployment {
  readonly client: Client;
  readonly configPath: string;
  /** The folder of one role; nothing of it may be needed by another. */
  home(role: Role): string;
  /** Its temporary files; no other role's are there. */
  temporaryFolder(role: Role): string;
  /** @param env on top of the deployment's, for this start of it */
  start(role: Role, env?: NodeJS.ProcessEnv): Promise<void>;
  /** As the out-of-memory killer does it. */
  kill9(role: Role): Promise<void>;
  pid(role: Role): number;
  log(role: Role): Promise<string>;
  startBackup(instance?: string): Promise<WorkflowHandleWithFirstExecutionRunId>;
  /** Every run so far, or those of one instance. */
  runs(instance?: string): readonly WorkflowHandle[];
  /** Another rewind.yaml for the same Temporal, for `start`. @returns its path */
  writeConfig(config: Omit<ConfigInput, 'temporal'>): Promise<string>;
  backup(instance?: string): Promise<ScheduledBackupResult>;
  /** A command as a person types it, in a folder without anything but the configuration. */
  cli(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }>;
  stop(): Promise<void>;
}

/** Short enough for tests, long enough for two busy cores. */
const shortTimeouts = { heartbeat: '3s', retry: '200ms', roleSilence: '40s' };

export async function startDeployment(options: {
  /** The deployment gets a namespace of its own there: there is one deployment in each. */
  temporal: { address: string };
  config: Omit<ConfigInput, 'temporal'>;
  env?: NodeJS.ProcessEnv;
  roles?: readonly Role[];
  /** Starts the process of a role, with a channel. Default: the sources, on this Node. */
  launch?: (role: Role, surroundings: { cwd: string; env: NodeJS.ProcessEnv }) => ChildProcess;
}): Promise<Deployment> {
  const connection = await Connection.connect({ address: options.temporal.address });
  const client = await ownNamespace(connection);
  const folder = await temporaryFolder('deployment');
  const temporal = { address: options.temporal.address, namespace: client.options.namespace };
  const configPath = join(folder.path, 'rewind.yaml');
  const writeConfig = async (
    config: Omit<ConfigInput, 'temporal'>,
    path = join(folder.path, `${randomUUID()}.yaml`),
  ) => {
    const timeouts = { ...shortTimeouts, ...config.timeouts };
    await writeFile(path, stringify({ sandbox: { servers: [redisBinary()] }, ...config, timeouts, temporal }));
    return path;
  };
  await writeConfig(options.config, configPath);
  const env = { ...process.env, ...options.env, REWIND_CONFIG: configPath };
  const running = new Map<Role, ChildProcess>();
  const homes = new Map(roles.map((role) => [role, join(folder.path, `machine-of-${role}`)]));
  const home = (role: Role) => homes.get(role) as string;

  const temporaryOf = (role: Role) => join(home(role), 'tmp');
  const runs = new Map<string, WorkflowHandle[]>();

  const launch =
    options.launch ??
    ((role: Role, surroundings: { cwd: string; env: NodeJS.ProcessEnv }) =>
      spawn(process.execPath, [cli, 'worker', '--role', role], {
        ...surroundings,
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      }));
  const start = async (role: Role, more: NodeJS.ProcessEnv = {}) => {
    await mkdir(temporaryOf(role), { recursive: true });
    const child = launch(role, {
      cwd: home(role),
      env: { ...env, REWIND_HOME: home(role), TMPDIR: temporaryOf(role), ...more },
    });
    running.set(role, child);
    const log = createWriteStream(join(folder.path, `${role}.log`), { flags: 'a' });
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    await new Promise<void>((resolve, reject) => {
      child.on('message', (message) => message === 'polling' && resolve());
      child.once('exit', async (code) =>
        reject(
          new Error(
            `${role} ended with ${code}: ${(await readFile(join(folder.path, `${role}.log`), 'utf8')).slice(-2000)}`,
          ),
        ),
      );
    });
  };
  const end = async (role: Role, signal: NodeJS.Signals) => {
    const child = running.get(role);
    running.delete(role);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  };
  await Promise.all((options.roles ?? roles).map((role) => start(role)));

  const [only = ''] = Object.keys(options.config.instances ?? {});
  const startBackup = async (instance = only) => {
    const run = await client.workflow.start('scheduledBackup', {
      taskQueue: 'rewind',
      workflowId: `backup/${instance}-${randomUUID()}`,
      args: [{ instance }],
      typedSearchAttributes: [{ key: searchAttributes.instance, value: instance }],
    });
    runs.set(instance, [...(runs.get(instance) ?? []), run]);
    return run;
  };
  return {
    client,
    configPath,
    home,
    temporaryFolder: temporaryOf,
    start,
    kill9: (role) => end(role, 'SIGKILL'),
    pid: (role) => running.get(role)?.pid as number,
    log: (role) => readFile(join(folder.path, `${role}.log`), 'utf8'),
    startBackup,
    runs: (instance) => (instance === undefined ? [...runs.values()].flat() : (runs.get(instance) ?? [])),
    writeConfig: (config) => writeConfig(config),
    backup: async (instance) => (await startBackup(instance)).result() as Promise<ScheduledBackupResult>,
    cli: (...args) => runCli(args, folder.path, { ...env, REWIND_HOME: join(folder.path, 'machine-of-operator') }),
    stop: async () => {
      await Promise.all([...running.keys()].map((role) => end(role, 'SIGTERM')));
      await connection.close();
      await folder.remove();
    },
  };
}

/** A new namespace; the server's parts learn of it one after the other, so it is asked until it answers. */
async function ownNamespace(connection: Connection): Promise<Client> {
  const namespace = `test-${randomUUID()}`;
  await connection.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: Long.fromNumber(86_400) },
  });
  const client = new Client({ connection, namespace });
  for (;;) {
    try {
      await client.workflow.count();
      await client.schedule.getHandle('none').describe();
    } catch (error) {
      if (error instanceof ScheduleNotFoundError) return client;
      await sleep(200);
    }
  }
}

function runCli(args: string[], cwd: string, env: NodeJS.ProcessEnv) {
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
    const child = spawn(process.execPath, [cli, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}
