import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import type { InstanceContext } from '../backup/instance-context.ts';
import { takeBackup } from '../backup/take-backup.ts';
import { RewindError } from '../errors/rewind-error.ts';
import { policyOf } from '../policy/instance-policy.ts';
import { takeStateLock } from '../process/state-lock.ts';
import type { StepIO } from '../process/step-io.ts';
import { withRedis } from '../redis/connection.ts';
import { compareRestored } from '../restore/compare-restored.ts';
import { placeInFolder } from '../restore/files/place-in-folder.ts';
import { startSandbox } from '../restore/files/started-sandbox.ts';
import { type Migration, migrateKeys, replaceWholly } from '../restore/migrate-keys.ts';
import { planRestore, type RestorePlan } from '../restore/plan-restore.ts';
import { type ArchivePoint, findPoint, type RestorePoint } from '../restore/restore-point.ts';
import { intoText, parseRestoreInput, type RestoreInput, type RestoreRequest } from '../restore/restore-request.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import { stageForRestore } from '../restore/stage-for-restore.ts';
import { removeRestoreFolders, restoreFolder, stageDump } from '../restore/staged-dump.ts';
import { readTargetFacts } from '../restore/target-facts.ts';
import { serverFor } from '../sandbox/servers.ts';
import { openInstance } from '../workers/instance-context.ts';
import { sandboxSettings } from '../workers/sandbox.ts';
import type { RestoreResult } from '../workflows/restore-to-point.ts';
import type { EffectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import { materializeHere, planOfMoment, restoreMomentAside } from './moment-here.ts';
import type { ExitCode } from './output.ts';
import { progressView } from './progress-view.ts';
import { provideParts } from './provide-parts.ts';
import { sentenceOfRestore } from './restore.ts';
import { wrap } from './wrap.ts';

interface Here {
  readonly request: RestoreRequest;
  readonly point: RestorePoint;
  readonly source: InstanceContext;
  readonly into: InstanceContext;
  readonly subject: RestoreSubject;
  readonly io: StepIO;
}

/** Before it is known whether it is a backup. */
type Found = Omit<Here, 'point'> & { readonly point: RestorePoint | ArchivePoint };

/** `--dry-run`: what would be done, from the repository and the target themselves; nothing is changed. */
export async function planHere(
  context: CliContext,
  effective: EffectiveConfig,
  input: RestoreInput,
): Promise<ExitCode> {
  return here(context, effective, input, async (at) => {
    if ('moment' in at.point) {
      const { text, plan } = planOfMoment(at.request, at.point.moment);
      context.output.answer(text, { instance: input.instance, plan });
      return 0;
    }
    const { plan } = await planAt({ ...at, point: at.point });
    context.output.answer(textOf(plan), { instance: input.instance, plan });
    return plan.refusals.length === 0 ? 0 : 1;
  });
}

/**
 * `--without-temporal`: the same steps in this process, from a machine that has only this configuration and the bucket's
 * credentials. Ended in the middle, the same command goes on where it was.
 */
export async function restoreHere(
  context: CliContext,
  effective: EffectiveConfig,
  input: RestoreInput,
  yes: boolean,
): Promise<ExitCode> {
  context.output.log(
    wrap('Without Temporal: nothing goes on by itself if this process ends; the same command goes on then.'),
  );
  return here(context, effective, input, async (at) => {
    const result = await restoreFound(context, effective, at, yes);
    context.output.answer(sentenceOfRestore(result), result);
    return result.verified ? 0 : 3;
  });
}

async function restoreFound(
  context: CliContext,
  effective: EffectiveConfig,
  at: Found,
  yes: boolean,
): Promise<RestoreResult> {
  const { request, point: found, source, into, io } = at;
  const isAside = request.into.kind === 'dir' || request.into.kind === 'sandbox';
  if ('moment' in found && isAside) {
    return restoreMomentAside(
      effective,
      { request, moment: found.moment, into: { ...into, repository: source.repository } },
      io,
    );
  }
  const point = 'moment' in found ? await materializeHere(effective, source, found.moment, io) : found;
  const done = await restoreAt(context, effective, { ...at, point }, yes);
  return { instance: request.instance, to: point.id, into: intoText(request.into), ...done };
}

async function here(
  context: CliContext,
  { config, home }: EffectiveConfig,
  input: RestoreInput,
  use: (at: Found) => Promise<ExitCode>,
): Promise<ExitCode> {
  const request = parseRestoreInput(input);
  const target = request.into.kind === 'instance' ? request.into.name : request.instance;
  const role = (name: string) => join(home, policyOf(config, name).source === 'agent' ? 'host' : 'orchestrator');
  const touchesRedis = request.into.kind === 'live' || request.into.kind === 'instance';
  const open = (instance: string, login: boolean) =>
    openInstance({ config, env: context.env, home: role(instance) }, { login })({ instance });
  const source = await open(request.instance, touchesRedis && target === request.instance);
  const into = target === request.instance ? source : await open(target, touchesRedis);
  const lock = await takeStateLock(join(home, 'without-temporal', target));
  const view = progressView(request.instance, process.stderr);
  try {
    const io = { signal: context.signal, onProgress: view.show };
    const { timeline } = request;
    const point = await findPoint(source.repository, request.instance, request.to, { timeline });
    const what = 'moment' in point ? point.moment : point.id;
    // The same question has the same journal: asked again after a crash, it goes on.
    const asked = createHash('sha256')
      .update(JSON.stringify({ request, backup: what }))
      .digest('hex')
      .slice(0, 16);
    const subject = { instance: target, policyDigest: into.policy.digest, restoreId: `here-${asked}` };
    return await use({ request, point, source, into, subject, io });
  } finally {
    view.end();
    lock.release();
  }
}

async function planAt({ request, point, source, into, subject, io }: Here) {
  const touchesRedis = request.into.kind === 'live' || request.into.kind === 'instance';
  const target = touchesRedis ? await withRedis(into.target, (redis) => readTargetFacts(redis, into)) : undefined;
  const place = { repository: source.repository, home: into.home };
  const staged = await stageForRestore(place, subject, request, point, target, io);
  return { target, staged, plan: planRestore({ request, point, staged, target }) };
}

async function restoreAt(
  context: CliContext,
  { config, home }: EffectiveConfig,
  at: Here,
  yes: boolean,
): Promise<Omit<RestoreResult, 'instance' | 'to' | 'into'>> {
  const { request, point, source, into, subject, io } = at;
  const untouched = { kept: 0, replaced: 0, expired: 0 };
  const verified = point.state === 'verified';
  const place = { ...into, repository: source.repository };
  if (request.into.kind === 'dir') {
    await placeInFolder(place, subject.restoreId, request.into.path, point, io);
    await removeRestoreFolders(into.home, subject.restoreId);
    return { keys: { ...untouched, restored: point.keys }, verified, path: `${hostname()}:${request.into.path}` };
  }
  if (request.into.kind === 'sandbox') {
    if (!config.sandbox.servers) await provideParts(['redis']);
    const settings = await sandboxSettings(config, join(home, 'sandbox'));
    const { url, passwordFile, endsAt, keys } = await startSandbox(
      {
        id: subject.restoreId,
        dumpPath: await stageDump(source.repository, restoreFolder(into.home, subject.restoreId), point, io),
        server: serverFor(settings.servers, point),
        home: join(home, 'sandbox'),
        databases: Math.max(16, ...Object.keys(point.keysByDatabase).map((db) => Number(db) + 1)),
        maxMemoryBytes: settings.maxMemoryBytes,
      },
      io,
    );
    await removeRestoreFolders(into.home, subject.restoreId);
    const expired = point.keys - keys;
    return { keys: { ...untouched, restored: keys, expired }, verified, url, passwordFile, until: endsAt };
  }
  const { target, staged, plan } = await planAt(at);
  if (plan.refusals.length > 0) throw new RewindError('RESTORE_REFUSED', plan.refusals.join(' '));
  context.output.log(textOf(plan));
  if (!yes) await confirm(into.policy.instance);
  if (plan.destructive) {
    if (!config.sandbox.servers) await provideParts(['redis']);
    const copy = await takeBackup(into, await sandboxSettings(config, join(home, 'sandbox')), io);
    if (copy.state !== 'verified') throw new RewindError('SAFETY_COPY_NOT_PROVEN', `${copy.id}: ${copy.reason}`);
    context.output.log(`what was live is kept in ${copy.id}`);
  }
  const by = plan.way === 'commands' ? 'commands' : 'slices';
  const migration: Migration = { request, point, by, plannedAtMs: target?.timeMs ?? Date.now() };
  const going = { ...io, onCursor: () => undefined };
  const { figures, conflicts } =
    plan.way === 'as-primary'
      ? await replaceWholly(place, subject, point, staged, io)
      : await migrateKeys(place, subject, migration, going);
  const asked = { kind: 'sample', migration, conflicts, othersMayWrite: true } as const;
  const compared = await compareRestored(place, subject, asked, going);
  for (const tell of compared.tells) context.output.log(tell);
  if (compared.contradiction) throw new RewindError('RESTORE_NOT_EQUAL', compared.contradiction);
  await removeRestoreFolders(into.home, subject.restoreId);
  const { restored, kept, replaced, expired } = figures;
  return { keys: { restored, kept, replaced, expired }, verified: true };
}

/** On a terminal the instance's name has to be typed; elsewhere nobody is there to confirm. */
async function confirm(instance: string): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new RewindError('RESTORE_REFUSED', 'Nobody is at a terminal to confirm it.', {
      next: 'Say --yes in a script.',
    });
  }
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const typed = await asking.question(`Type ${instance} to go on: `);
    if (typed.trim() !== instance) throw new RewindError('GATE_REJECTED', 'It was not confirmed.');
  } finally {
    asking.close();
  }
}

function textOf(plan: RestorePlan): string {
  const { backup, selected } = plan;
  return [
    `${backup.id} (${backup.time}, ${backup.state}) into ${plan.into}`,
    wrap(`how: ${plan.why}`, 2),
    `  keys: ${selected.keys} of ${backup.keys}, ${selected.expired} more have expired; ${plan.liveKeys} are live now`,
    `  about ${plan.seconds} s`,
    ...plan.tells.map((tell) => wrap(tell, 2)),
    ...plan.loses.map((loss) => wrap(`loses: ${loss}`, 2)),
    ...plan.refusals.map((refusal) => wrap(`REFUSED: ${refusal}`, 2)),
  ].join('\n');
}
