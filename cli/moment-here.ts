import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { startFromMoment } from '../activities/archive-read.ts';
import { loadMoment } from '../archive/read/load-moment.ts';
import { type Moment, momentBytes } from '../archive/read/moment.ts';
import { materializeMoment } from '../archive/read/moment-backup.ts';
import type { InstanceContext } from '../backup/instance-context.ts';
import type { StepIO } from '../process/step-io.ts';
import { placeMoment } from '../restore/files/place-moment.ts';
import { findRestorePoint, type RestorePoint } from '../restore/restore-point.ts';
import { intoText, type RestoreRequest } from '../restore/restore-request.ts';
import { sandboxSettings } from '../workers/sandbox.ts';
import type { RestoreResult } from '../workflows/restore-to-point.ts';
import type { EffectiveConfig } from './effective-config.ts';
import { provideParts } from './provide-parts.ts';

/** Sandboxes of this machine, where no role runs one. */
export async function sandboxHere({ config, home }: EffectiveConfig) {
  if (!config.sandbox.servers) await provideParts(['redis']);
  return { ...(await sandboxSettings(config, join(home, 'sandbox'))), home: join(home, 'sandbox') };
}

/** A moment as a backup, made on this machine; asked for again within the day it is the one that was made. */
export async function materializeHere(
  effective: EffectiveConfig,
  { repository }: Pick<InstanceContext, 'repository'>,
  moment: Moment,
  io: StepIO,
): Promise<RestorePoint> {
  const today = new Date(new Date().toISOString().slice(0, 10));
  const place = { repository, instance: moment.instance };
  const made = await materializeMoment(place, moment, today, await sandboxHere(effective), io);
  return findRestorePoint(repository, moment.instance, made.id);
}

/** Into a folder or a sandbox of this machine, natively. */
export async function restoreMomentAside(
  effective: EffectiveConfig,
  { request, moment, into }: { request: RestoreRequest; moment: Moment; into: InstanceContext },
  io: StepIO,
): Promise<RestoreResult> {
  const untouched = { kept: 0, replaced: 0, expired: 0 };
  const sandbox = await sandboxHere(effective);
  const place = { repository: into.repository, instance: moment.instance };
  const { timeline, position, timeMs, precision } = moment;
  const result = {
    instance: request.instance,
    to: String(position),
    into: intoText(request.into),
    verified: true,
    moment: { timeline, position, time: new Date(timeMs).toISOString(), precision },
  };
  if (request.into.kind === 'dir') {
    const { keys } = await loadMoment(place, moment, sandbox, io, async (_, loaded) => loaded);
    await placeMoment(into, moment, request.into.path, io);
    return { ...result, keys: { ...untouched, restored: keys }, path: `${hostname()}:${request.into.path}` };
  }
  const id = `here-${createHash('sha256').update(JSON.stringify(moment)).digest('hex').slice(0, 16)}`;
  const { keys, ...server } = await startFromMoment(place.repository, sandbox.home, sandbox, id, moment, io);
  return { ...result, keys: { ...untouched, restored: keys }, ...server };
}

/** What `--dry-run` says of a moment; nothing is fetched but names and headers. */
export function planOfMoment(request: RestoreRequest, moment: Moment): { text: string; plan: object } {
  const { timeline, position, timeMs, precision, base, legs, tells } = moment;
  const aside = request.into.kind === 'dir' || request.into.kind === 'sandbox';
  const way = aside ? 'native' : 'backup-of-moment';
  const replayBytes = momentBytes(moment) - base.sizeBytes;
  const text = [
    `the state as of ${new Date(timeMs).toISOString()} (position ${position}, timeline ${timeline}) into ${intoText(request.into)}`,
    `  known: ${precision}`,
    `  how: ${aside ? 'base and commands are laid down as Redis wrote them, and a server starts from them' : 'it is laid down, loaded and proven in the sandbox, becomes a backup, and is restored as any other; what goes is shown then'}`,
    `  a base of ${base.sizeBytes} bytes at position ${base.position}, and ${replayBytes} bytes of commands from ${legs.length} timeline(s)`,
    ...tells.map((tell) => `  ${tell}`),
  ].join('\n');
  return { text, plan: { way, into: intoText(request.into), moment, replayBytes, tells, refusals: [] } };
}
