import type { InstanceContext } from '../../backup/instance-context.ts';
import { type HostService, serviceOf } from '../../host/service.ts';
import { readStartConfig } from '../../host/start-config.ts';
import { foundPart } from '../../process/found-parts.ts';
import type { StepIO } from '../../process/step-io.ts';
import { readServerFile } from '../../redis/server-file.ts';
import { listBackups } from '../../repository/catalogue.ts';
import { readDeathTraces } from './death-traces.ts';
import { lastSeen } from './last-seen.ts';
import { type LocalFiles, readLocalFiles } from './local-files.ts';
import { type LocalSettings, localSettings } from './local-settings.ts';
import { type DeathExplanation, explainDeath } from './why-it-died.ts';

/** What the machine of a crashed server shows: its files, and how it died. No line of a log leaves the machine. */
export interface CrashSite {
  /** Absent where it is not known where the files are. */
  readonly local?: LocalFiles;
  readonly death?: DeathExplanation;
  /** When this agent last reached it, ISO 8601; absent where that was never noted. */
  readonly lastSeenAt?: string;
}

/** The Redis beside this agent by what starts and stops it; undefined where the configuration does not say how. */
export function serviceBeside(
  { host, home, policy, target }: InstanceContext,
  logFile?: string,
): HostService | undefined {
  if (!host?.service) return undefined;
  const redisServerPath = 'process' in host.service ? foundPart('redis').path : undefined;
  return serviceOf(host.service, { home, instance: policy.instance, target, redisServerPath, logFile });
}

/** Looks at what a crashed server has left. Reads only, and is no error where something cannot be read. */
export async function readCrashSite(context: InstanceContext, io: StepIO): Promise<CrashSite> {
  const settings = await settingsBeside(context);
  const service = serviceBeside(context, settings?.logFile);
  const lastExit = await service?.lastExit().catch(() => undefined);
  const unit = context.host?.service && 'systemd' in context.host.service ? context.host.service.systemd : undefined;
  const traces = await readDeathTraces({ lastExit, logFile: settings?.logFile, dir: settings?.dir, unit });
  const lastSeenAt = await lastSeen({ home: context.home, instance: context.policy.instance });
  return {
    ...(settings ? { local: await readLocalFiles(settings, io) } : {}),
    death: explainDeath(traces),
    ...(lastSeenAt ? { lastSeenAt } : {}),
  };
}

/** Where the server beside this agent keeps its files: by its own arguments, else by what the newest backup knew of it. */
export async function settingsBeside(context: InstanceContext): Promise<LocalSettings | undefined> {
  const { host, repository, policy } = context;
  if (host?.service && 'process' in host.service) {
    const { logfile, ...config } = await readStartConfig({ args: host.service.process.args });
    const knownFrom = 'host.service.process.args';
    return { ...config, ...(logfile ? { logFile: logfile } : {}), knownFrom };
  }
  for (const { id, directory, manifest } of await listBackups(repository, policy.instance)) {
    if (!manifest?.serverFile) continue;
    const key = `${directory}${manifest.serverFile.file}`;
    const known = await readServerFile(repository, key).catch(() => undefined);
    if (known) return localSettings(known.configuration, `server.json of the backup ${id}`);
  }
  return undefined;
}
