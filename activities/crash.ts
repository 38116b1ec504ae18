import { mkdir } from 'node:fs/promises';
import { shipTailBeforeStart } from '../archive/follow/ship-tail.ts';
import { asOwnChange } from '../archive/loss/own-change.ts';
import { holdPlaced } from '../backup/identity-check.ts';
import type { InstanceContext } from '../backup/instance-context.ts';
import type { LoadedConfig } from '../config/load.ts';
import { readArchiveEnd } from '../incident/crash/archive-end.ts';
import { newestProven } from '../incident/crash/compare-local.ts';
import type { CopiesSurvey } from '../incident/crash/copies.ts';
import { type CrashSite, readCrashSite } from '../incident/crash/crash-site.ts';
import { type CrashDecision, decideCrash } from '../incident/crash/decide.ts';
import { detachReplicas } from '../incident/crash/detach-replicas.ts';
import type { CrashFacts } from '../incident/crash/facts.ts';
import { followAgain } from '../incident/crash/follow-again.ts';
import { type LossWindow, lossWindow } from '../incident/crash/loss-window.ts';
import { type CrashPlanFacts, crashPlanFacts } from '../incident/crash/plan-facts.ts';
import { type Promotion, promoteReplica } from '../incident/crash/promote.ts';
import { receiveDumpFrom } from '../incident/crash/receive-dump.ts';
import { repointReplicas } from '../incident/crash/repoint-replicas.ts';
import { type FollowedPrimary, startAsReplica } from '../incident/crash/start-as-replica.ts';
import { placeDump, type ServerVersion, type StartedNode, startNode, warmUp } from '../incident/crash/start-node.ts';
import { type CopiesAsked, surveyCopies } from '../incident/crash/survey-copies.ts';
import { instancesInForce } from '../policy/instance-policy.ts';
import { listBackups } from '../repository/catalogue.ts';
import type { ReplacedFiles } from '../restore/files/replace-files.ts';
import type { RestorePoint } from '../restore/restore-point.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import { restoreFolder, stageDump } from '../restore/staged-dump.ts';
import { runStep } from './step.ts';

type Subject = Pick<RestoreSubject, 'instance' | 'policyDigest'>;

/** Asking every server that may hold a copy, and acting on them. They reach them over the network. */
export function copiesActivities(contextOf: (subject: Subject) => Promise<InstanceContext>) {
  return {
    surveyCopies: (subject: Subject): Promise<CopiesSurvey> =>
      runStep(async (io) => surveyCopies(await askedOf(await contextOf(subject)), io)),

    /** Makes a replica the primary; the copies are asked again right before. */
    promoteReplica: (subject: Subject, address: string, runId: string | undefined): Promise<Promotion> =>
      runStep(async (io) => promoteReplica(await askedOf(await contextOf(subject)), address, { runId }, io)),

    /** Takes replicas off a node that is to start with other data than they hold: they would copy it. */
    detachReplicas: (subject: Subject, addresses: readonly string[]): Promise<void> =>
      runStep(async (io) => {
        await detachReplicas(await askedOf(await contextOf(subject)), addresses, {}, io);
      }),

    /** Has a replica that was taken off the node for its dump follow the node again. */
    followAgain: (subject: Subject, address: string, node: string): Promise<void> =>
      runStep(async (io) => followAgain(await askedOf(await contextOf(subject)), address, node, {}, io)),

    /** Lets every replica of the node follow another primary: the node comes back with older data than they have. */
    repointReplicas: (subject: Subject, primary: string): Promise<void> =>
      runStep(async (io) => {
        await repointReplicas(await askedOf(await contextOf(subject)), primary, {}, io);
      }),

    /** Makes the node that was started a replica, and waits until it is in sync. */
    startAsReplica: (subject: Subject, primary: string): Promise<FollowedPrimary> =>
      runStep(async (io) =>
        startAsReplica(await askedOf(await contextOf(subject)), primary, { rewriteConfig: true }, io),
      ),
  };
}

/** What is to be done, from everything that was found; the catalogue is read anew. */
export function crashDecisionActivities(
  contextOf: (subject: Subject) => Promise<InstanceContext>,
  config: LoadedConfig,
) {
  return {
    decideCrash: (subject: Subject, found: FoundAfterCrash): Promise<DecidedCrash> =>
      runStep(async ({ signal }) => {
        const { repository, policy } = await contextOf(subject);
        const backups = await listBackups(repository, subject.instance, { all: true });
        const provenAt = Date.parse(newestProven(backups)?.time ?? '');
        const archive = await readArchiveEnd({ repository, instance: subject.instance }, provenAt || 0, signal);
        const facts: CrashFacts = {
          survey: found.survey,
          local: found.site?.local,
          death: found.site?.death,
          hostLost: found.site === undefined,
          backups,
          ...(archive ? { archive } : {}),
          otherInstances: instancesInForce(config).filter((name) => name !== subject.instance),
          flagBelow: policy.backup.flagBelow,
          lastSeenAt: found.site?.lastSeenAt,
        };
        const decision = decideCrash(facts);
        return {
          decision,
          plan: crashPlanFacts(facts, decision),
          windows: Object.fromEntries(decision.choices.map((choice) => [choice.id, lossWindow(facts, choice)])),
          server: backups.find(({ manifest }) => manifest)?.manifest?.server,
        };
      }),
  };
}

export interface FoundAfterCrash {
  readonly survey: CopiesSurvey;
  /** Absent: the host did not answer. */
  readonly site?: CrashSite;
}

export interface DecidedCrash {
  readonly decision: CrashDecision;
  /** What an approval is bound to. */
  readonly plan: CrashPlanFacts;
  /** The window of loss of each choice. */
  readonly windows: Readonly<Record<string, LossWindow>>;
  /** Who wrote the newest backup; absent where there is none. */
  readonly server?: ServerVersion;
}

/** What can only be done on the crashed server's own machine. */
export function crashedHostActivities(contextOf: (subject: Subject) => Promise<InstanceContext>) {
  return {
    readCrashSite: (subject: Subject): Promise<CrashSite> =>
      runStep(async (io) => readCrashSite(await contextOf(subject), io)),

    startServer: (
      subject: Subject,
      server: ServerVersion,
      mayBeEmpty: boolean,
      replicaOf?: string,
    ): Promise<StartedNode> =>
      runStep(async (io) => {
        const context = await contextOf(subject);
        await shipTailBeforeStart(context, io);
        return startNode(context, server, { mayBeEmpty, replicaOf }, io);
      }),

    /** Gives the stopped server a backup's files; its own are moved aside. */
    placeBackup: (subject: RestoreSubject, point: RestorePoint): Promise<ReplacedFiles> =>
      runStep(async (io) => {
        const context = await contextOf(subject);
        const { repository, home } = context;
        const path = await stageDump(repository, restoreFolder(home, subject.restoreId), point, io);
        const dump = { path, sha256: point.sha256, restoreId: subject.restoreId };
        return place(context, dump, point.server, io);
      }),

    /** Gives the stopped server what another one holds at this moment. */
    placeDumpFrom: (subject: RestoreSubject, address: string, server: ServerVersion): Promise<ReplacedFiles> =>
      runStep(async (io) => {
        const context = await contextOf(subject);
        const folder = restoreFolder(context.home, subject.restoreId);
        await mkdir(folder, { recursive: true, mode: 0o700 });
        const path = await receiveDumpFrom(await askedOf(context), address, folder, io);
        const dump = { path, restoreId: subject.restoreId };
        return place(context, dump, server, io);
      }),

    warmUp: (subject: Subject): Promise<boolean> => runStep(async (io) => warmUp(await contextOf(subject), io)),
  };
}

/** Files of the instance's own for its server: no loss to who watches it, and the same instance to its agent. */
async function place(...[context, ...placing]: Parameters<typeof placeDump>): Promise<ReplacedFiles> {
  const replaced = await asOwnChange(context, 'restore', () => placeDump(context, ...placing));
  await holdPlaced(context);
  return replaced;
}

async function askedOf({ target, policy, sentinel }: InstanceContext): Promise<CopiesAsked> {
  return { primary: target, replicas: policy.topology.replicas, sentinel: await sentinel?.() };
}

export type CopiesActivities = ReturnType<typeof copiesActivities>;
export type CrashDecisionActivities = ReturnType<typeof crashDecisionActivities>;
export type CrashedHostActivities = ReturnType<typeof crashedHostActivities>;
