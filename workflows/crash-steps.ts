import { proxyActivities } from '@temporalio/workflow';
import type {
  CopiesActivities,
  CrashDecisionActivities,
  CrashedHostActivities,
  DecidedCrash,
  FoundAfterCrash,
} from '../activities/crash.ts';
import type { ServerVersion } from '../incident/crash/start-node.ts';
import type { InstancePolicy } from '../policy/instance-policy.ts';
import type { RestorePoint } from '../restore/restore-point.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import { failureCode, sentenceOf } from './failure-code.ts';
import { patienceOf } from './patience.ts';
import type { RunStory } from './run-story.ts';

export type CrashSteps = ReturnType<typeof crashSteps>;

/** A host whose agent says nothing for so long is taken for lost; a person sees that, and can have it looked for again. */
const HOST_SILENT_MS = 60_000;

/** Every step on a crashed node and on the servers that may hold a copy of its data. */
export function crashSteps(policy: InstancePolicy, story: RunStory) {
  const patience = patienceOf(policy);
  const soon = { ...patience, scheduleToStartTimeout: Math.min(patience.scheduleToStartTimeout, HOST_SILENT_MS) };
  const host = proxyActivities<CopiesActivities & CrashedHostActivities>({ ...soon, taskQueue: policy.hostQueue });
  const orchestrator = proxyActivities<CopiesActivities & CrashDecisionActivities>({
    ...patience,
    taskQueue: 'rewind',
  });
  const subject = { instance: policy.instance, policyDigest: policy.digest };
  /** Whoever can reach the other servers: the agent knows the logins; where its host is lost, the orchestrator tries. */
  let network: Pick<typeof host, keyof CopiesActivities> = host;

  async function told<T>(step: string, run: () => Promise<T>, sentence: (result: T) => string): Promise<T> {
    story.step(step);
    const result = await run();
    story.tell(sentence(result));
    return result;
  }

  return {
    /** Replicas and Sentinels first; then what the host itself shows. */
    async look(): Promise<FoundAfterCrash> {
      story.step('surveyCopies');
      const summary = 'who else holds a copy?';
      const lookAtSite = async () => {
        story.step('readCrashSite');
        const site = await host.readCrashSite.executeWithOptions({ summary: 'what has it left?' }, [subject]);
        for (const sentence of site.death?.sentences ?? []) story.tell(sentence);
        return site;
      };
      try {
        network = host;
        const survey = await host.surveyCopies.executeWithOptions({ summary }, [subject]);
        return { survey, site: await lookAtSite() };
      } catch (error) {
        if (failureCode(error) !== 'TIMEOUT_SCHEDULE_TO_START') throw error;
        story.tell(`The agent beside it does not answer: the host may be lost. ${sentenceOf(error)}`);
        network = orchestrator;
        return { survey: await orchestrator.surveyCopies.executeWithOptions({ summary }, [subject]) };
      }
    },

    async decideCrash(found: FoundAfterCrash): Promise<DecidedCrash> {
      return orchestrator.decideCrash.executeWithOptions({ summary: 'what may be done?' }, [subject, found]);
    },

    startServer: (server: ServerVersion, mayBeEmpty: boolean, replicaOf?: string) =>
      told(
        'startServer',
        () =>
          host.startServer.executeWithOptions(
            { summary: 'start it, until it has loaded' },
            replicaOf === undefined ? [subject, server, mayBeEmpty] : [subject, server, mayBeEmpty, replicaOf],
          ),
        ({ by, loaded, keys }) => `started by ${by}: ${keys} keys. ${loaded}`,
      ),

    promoteReplica: (address: string, runId: string | undefined) =>
      told(
        'promoteReplica',
        () =>
          network.promoteReplica.executeWithOptions({ summary: `${address} becomes the primary` }, [
            subject,
            address,
            runId,
          ]),
        (promotion) => `${promotion.address} is the primary now, with ${promotion.keys} keys`,
      ),

    detachReplicas: (addresses: readonly string[]) =>
      told(
        'detachReplicas',
        () =>
          network.detachReplicas.executeWithOptions({ summary: `${addresses.join(', ')} keep what they hold` }, [
            subject,
            addresses,
          ]),
        () => `${addresses.join(', ')} follow nobody now and keep what they hold`,
      ),

    followAgain: (address: string, node: string) =>
      told(
        'followAgain',
        () =>
          network.followAgain.executeWithOptions({ summary: `${address} follows the node again` }, [
            subject,
            address,
            node,
          ]),
        () => `${address} follows ${node} again and is in sync`,
      ),

    repointReplicas: (primary: string) =>
      told(
        'repointReplicas',
        () => network.repointReplicas.executeWithOptions({ summary: `replicas follow ${primary}` }, [subject, primary]),
        () => `the other replicas follow ${primary}`,
      ),

    startAsReplica: (primary: string) =>
      told(
        'startAsReplica',
        () => host.startAsReplica.executeWithOptions({ summary: `it follows ${primary}` }, [subject, primary]),
        ({ keys }) => `it follows ${primary} and is in sync, with ${keys} keys`,
      ),

    placeBackup: (restore: RestoreSubject, point: RestorePoint) =>
      told(
        'placeBackup',
        () => host.placeBackup.executeWithOptions({ summary: `files of ${point.id}` }, [restore, point]),
        ({ dir, aside }) => `the files of ${point.id} are in ${dir}${aside ? `; what was there is in ${aside}` : ''}`,
      ),

    placeDumpFrom: (restore: RestoreSubject, address: string, server: ServerVersion) =>
      told(
        'placeDumpFrom',
        () => host.placeDumpFrom.executeWithOptions({ summary: `what ${address} holds` }, [restore, address, server]),
        ({ dir, aside }) => `what ${address} holds is in ${dir}${aside ? `; what was there is in ${aside}` : ''}`,
      ),

    warmUp: () =>
      told(
        'warmUp',
        () => host.warmUp.executeWithOptions({ summary: 'the configured command' }, [subject]),
        (ran) => (ran ? 'the warm-up command has run' : 'no warm-up command is configured'),
      ),
  };
}
