import { CancellationScope, isCancellation, proxyActivities, uuid4, workflowInfo } from '@temporalio/workflow';
import type { AnswersActivities } from '../activities/answers.ts';
import type { BackupPlan } from '../activities/policy.ts';
import type { Moment } from '../archive/read/moment.ts';
import type { PutKeysFigures } from '../restore/keys/figures.ts';
import type { OfferedServer } from '../restore/offer-server.ts';
import type { RestorePoint } from '../restore/restore-point.ts';
import type { RestoreInput, RestoreRequest } from '../restore/restore-request.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import { readPolicy } from './backup-steps.ts';
import { refuseOrGo, sentenceOf } from './failure-code.ts';
import { figuresOfReport } from './figures-of-restore.ts';
import { Gates } from './gate.ts';
import { IncidentLog } from './incident-log.ts';
import { ownInstance } from './instance-owner.ts';
import { compareEverything, putBack } from './put-back.ts';
import { approveRestore } from './restore-gate.ts';
import { type RestoreSteps, restoreSteps } from './restore-steps.ts';
import { RunStory } from './run-story.ts';

/** As `rewind restore --json` prints it. */
export interface RestoreResult {
  readonly instance: string;
  /** The backup's id; of a moment that was laid down natively its position in the archive. */
  readonly to: string;
  readonly into: string;
  readonly keys: Pick<PutKeysFigures, 'restored' | 'kept' | 'replaced' | 'expired'>;
  /** True where what is there now was compared with the backup, and is it. */
  readonly verified: boolean;
  readonly path?: string;
  readonly url?: string;
  /** File on the sandbox's machine that holds the password for `url`. */
  readonly passwordFile?: string;
  /** When the sandbox ends, ISO 8601. */
  readonly until?: string;
  /** Name of the report in the repository. */
  readonly report?: string;
  /** Of another instance: how its users and settings differ from those of the backup, and where that stands. */
  readonly server?: OfferedServer;
  /** Of the archive, where it was one. */
  readonly moment?: {
    readonly timeline: number;
    readonly position: number;
    /** ISO 8601. */
    readonly time: string;
    readonly precision: string;
  };
}

/**
 * Brings a backup back: into a sandbox, a folder, the live server or another instance. What could be lost by it is shown
 * first, approved by a person, and kept in a safety copy.
 */
export async function restoreToPoint(input: RestoreInput): Promise<RestoreResult> {
  const story = new RunStory(`Restore of ${input.instance}`, input.instance);
  const { readAnswers } = proxyActivities<AnswersActivities>({ startToCloseTimeout: '30s' });
  const gates = new Gates(story, undefined, { readAnswers });
  const startedAt = workflowInfo().startTime.toISOString();
  const source = await readPolicy({ instance: input.instance, startedAt, nonce: uuid4() });
  const request = await restoreSteps(source.policy, source.policy, story).readRequest(input);
  const into =
    request.into.kind === 'instance'
      ? await readPolicy({ instance: request.into.name, startedAt, nonce: uuid4() })
      : source;
  gates.under(into.policy);
  const restore: Restore = {
    story,
    gates,
    request,
    into,
    steps: restoreSteps(source.policy, into.policy, story),
    subject: { instance: into.policy.instance, policyDigest: into.policy.digest, restoreId: uuid4() },
    log: new IncidentLog(into.policy, story, gates, 'restore'),
  };
  // A sandbox and a folder change no server: backups may go on beside them.
  const changesServer = request.into.kind === 'live' || request.into.kind === 'instance';
  const owner = changesServer ? await ownInstance(into.policy.instance) : undefined;
  try {
    story.phase('finding');
    const found = await restore.steps.findPoint(request.to, { timeline: request.timeline });
    const moment = 'moment' in found ? shown(found.moment) : undefined;
    if ('moment' in found && !changesServer) {
      story.phase('restoring');
      const result = await asideNatively(restore, found.moment);
      story.phase('done', { outcome: 'restored' });
      const to = String(found.moment.position);
      return { instance: input.instance, to, into: input.into ?? 'sandbox', ...result, moment };
    }
    const point = 'moment' in found ? await restore.steps.materializeMoment(found.moment, startedAt) : found;
    story.phase('restoring', { backupId: point.id });
    const result = changesServer
      ? await intoServer(restore, point, () => owner?.release())
      : await asideOfServers(restore, point);
    story.phase('done', { outcome: 'restored' });
    const into = input.into ?? 'sandbox';
    return { instance: input.instance, to: point.id, into, ...result, ...(moment ? { moment } : {}) };
  } catch (error) {
    story.phase('failed', { outcome: isCancellation(error) ? 'cancelled' : 'failed' });
    story.tell(sentenceOf(error));
    throw error;
  } finally {
    await CancellationScope.nonCancellable(async () => {
      if (request.into.kind !== 'sandbox') await restore.steps.cleanUpRestore(restore.subject);
      await owner?.release();
      await gates.close();
    });
  }
}

interface Restore {
  readonly story: RunStory;
  readonly gates: Gates;
  readonly request: RestoreRequest;
  readonly into: BackupPlan;
  readonly steps: RestoreSteps;
  readonly subject: RestoreSubject;
  readonly log: IncidentLog;
}

type Restored = Omit<RestoreResult, 'instance' | 'to' | 'into'>;

async function asideOfServers({ request, steps, subject, story }: Restore, point: RestorePoint): Promise<Restored> {
  const untouched = { kept: 0, replaced: 0 };
  const verified = point.state === 'verified';
  if (request.into.kind === 'dir') {
    const { path, startWith } = await steps.placeFiles(subject, request.into.path, point);
    story.tell(`redis-server ${startWith.join(' ')}`);
    return { keys: { ...untouched, restored: point.keys, expired: 0 }, verified, path };
  }
  const { url, until, passwordFile, keys } = await steps.startSandbox(subject.restoreId, point);
  const expired = point.keys - keys;
  return { keys: { ...untouched, restored: keys, expired }, verified, url, until, passwordFile };
}

/** Base and commands as Redis wrote them; a server of ours has started from them before it is called proven. */
async function asideNatively({ request, steps, subject, story }: Restore, moment: Moment): Promise<Restored> {
  const untouched = { kept: 0, replaced: 0, expired: 0 };
  if (request.into.kind === 'dir') {
    const { keys } = await steps.proveMoment(moment);
    const { path, startWith } = await steps.placeMoment(subject, request.into.path, moment);
    story.tell(`redis-server ${startWith.join(' ')}`);
    return { keys: { ...untouched, restored: keys }, verified: true, path };
  }
  const { url, until, passwordFile, keys } = await steps.startMoment(subject.restoreId, moment);
  return { keys: { ...untouched, restored: keys }, verified: true, url, until, passwordFile };
}

function shown({ timeline, position, timeMs, precision }: Moment): RestoreResult['moment'] {
  return { timeline, position, time: new Date(timeMs).toISOString(), precision };
}

/** Keys go into a server that others use: planned, approved where something may go, put back, compared, reported. */
async function intoServer(restore: Restore, point: RestorePoint, letGo: () => unknown): Promise<Restored> {
  const { story, steps, subject, request, log } = restore;
  const target = await steps.surveyTarget(subject);
  const staged = await steps.stageDump(subject, request, point, target);
  const plan = refuseOrGo(await steps.planRestore(request, point, staged, target));
  story.tell(plan.why);
  const planned = { steps, subject, request, point, staged, plan, target };
  if (plan.destructive) await approveRestore(restore, restore.into, planned);

  const done = await putBack(restore, planned);
  log.backup = point.id;
  log.compared(done.compared);
  // From here on only looking goes on, at a limited rate: backups need not wait for it.
  await letGo();
  log.compared(await compareEverything(restore, planned, done));
  const { restored, kept, replaced, expired } = done.figures;
  log.figures = figuresOfReport(done.figures);
  // A server that is new has none of them yet.
  const offered = request.into.kind === 'instance' ? await steps.offerServer(subject, point) : undefined;
  if (offered) log.files.push({ what: 'users and settings that are other than in the backup', key: offered.key });
  if (done.conflicts) log.files.push({ what: 'keys that were there already', key: done.conflicts });
  const report = await log.store('recovered', `${point.id} was restored into ${plan.into}.`);
  const keys = { restored, kept, replaced, expired };
  return { keys, verified: done.compared !== undefined, report, ...(offered ? { server: offered } : {}) };
}
