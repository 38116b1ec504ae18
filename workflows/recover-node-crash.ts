import { CancellationScope, isCancellation, proxyActivities, uuid4, workflowInfo } from '@temporalio/workflow';
import type { AnswersActivities } from '../activities/answers.ts';
import type { DecidedCrash } from '../activities/crash.ts';
import type { CrashChoice } from '../incident/crash/choice.ts';
import { readPolicy } from './backup-steps.ts';
import { type CrashRecovery, carryOut } from './crash-choice.ts';
import { crashSteps } from './crash-steps.ts';
import { failureCode, sentenceOf } from './failure-code.ts';
import { type GatePlan, Gates } from './gate.ts';
import { IncidentLog } from './incident-log.ts';
import { ownForIncident } from './instance-owner.ts';
import { withPatience } from './park.ts';
import { restoreSteps } from './restore-steps.ts';
import { RunStory } from './run-story.ts';
import type { RunbookResult } from './runbook-result.ts';

export interface RecoverNodeCrashInput {
  readonly instance: string;
  /** `instance:NAME`: where the data goes when the host is lost; stands at the gate as the default then. */
  readonly into?: string;
}

/**
 * Redis is gone. Replicas and Sentinels are asked first: a primary that comes back empty or older than a copy would wipe
 * that copy. Then it is said why it died and what its files hold; a person chooses where there is a choice; it is started
 * or replaced; and what was lost is stated as two times.
 */
export async function recoverNodeCrash(input: RecoverNodeCrashInput): Promise<RunbookResult> {
  const { instance } = input;
  const story = new RunStory(`Crashed node ${instance}`, instance);
  const { readAnswers } = proxyActivities<AnswersActivities>({ startToCloseTimeout: '30s' });
  const gates = new Gates(story, undefined, { readAnswers });
  const startedAt = workflowInfo().startTime.toISOString();
  const { policy } = await readPolicy({ instance, startedAt, nonce: uuid4() });
  gates.under(policy);
  const owner = await ownForIncident(instance);
  const restoring = restoreSteps(policy, policy, story);
  const log = new IncidentLog(policy, story, gates, 'node-crash');
  const subject = { instance, policyDigest: policy.digest, restoreId: uuid4() };
  const run: CrashRecovery = { story, gates, steps: crashSteps(policy, story), restoring, subject, into: input.into };
  try {
    const { choice, decided } = await chooseAndRecover(run);
    const window = decided.windows[choice.id] ?? decided.decision.lossWindow;
    log.loss = {
      from: window.from,
      to: window.to,
      sentence: window.sentence,
      lost: [choice.loses],
      unknown: [...window.unknown],
    };
    story.tell(window.sentence);
    if (policy.host.warmUp && choice.kind !== 'other-instance') {
      await withPatience('warmUp', () => run.steps.warmUp(), {
        gates,
        story,
        safeToSkip: true,
        alreadyDone: () => 'The data is back.',
      });
    }
    const told = `${choice.text} ${window.sentence}`;
    const report = await log.store(choice.kind === 'leave-running' ? 'nothing-to-do' : 'recovered', told);
    story.phase('done', { outcome: 'recovered' });
    return {
      instance,
      kind: 'node-crash',
      recovered: true,
      sentences: [choice.text, window.sentence, ...window.unknown],
      report,
    };
  } catch (error) {
    const outcome = IncidentLog.outcomeOf(error, isCancellation(error));
    story.tell(sentenceOf(error));
    await CancellationScope.nonCancellable(() => log.store(outcome, sentenceOf(error)).catch(() => undefined));
    story.phase('failed', { outcome });
    throw error;
  } finally {
    await CancellationScope.nonCancellable(async () => {
      await restoring.cleanUpRestore(subject);
      await owner.release();
      await gates.close();
    });
  }
}

/** Looks, lets a person choose where there is a choice, and does it; anew where the world has changed in between. */
async function chooseAndRecover(run: CrashRecovery): Promise<{ choice: CrashChoice; decided: DecidedCrash }> {
  const { story, gates, steps } = run;
  const look = async () => steps.decideCrash(await steps.look());
  for (;;) {
    story.phase('looking');
    let decided = await withPatience('surveyCopies', look, {
      gates,
      story,
      alreadyDone: () => 'Nothing was changed.',
    });
    const { decision } = decided;
    story.tell(decision.reason);
    let chosen = decision.choices.find(({ id }) => id === decision.default);
    if (!decision.primaryMayStart || !chosen) {
      const answer = await gates.ask({
        name: 'recover',
        ...gatePlan(decided, run.into),
        refresh: async () => {
          decided = await look();
          return gatePlan(decided, run.into);
        },
      });
      chosen = decided.decision.choices.find(({ id }) => id === answer.choice);
    }
    if (!chosen || chosen.kind === 'look-again') continue;
    const [choice, plan] = [chosen, decided];
    story.phase('recovering');
    try {
      await withPatience('recover', () => carryOut(run, choice, plan), {
        gates,
        story,
        // Another primary, a copy that is gone: the plan is made again, and shown again.
        passes: new Set(['CRASH_WORLD_CHANGED']),
        alreadyDone: () => `It was decided: ${choice.text}`,
      });
      return { choice, decided: plan };
    } catch (error) {
      if (failureCode(error) !== 'CRASH_WORLD_CHANGED') throw error;
      story.tell(`${sentenceOf(error)} What is there is looked at again.`);
    }
  }
}

function gatePlan({ decision, plan, windows }: DecidedCrash, into: string | undefined): GatePlan {
  const wanted = into?.replace(/^instance:/, 'other-instance:');
  const choices = decision.choices.map(({ id, text, loses }) => {
    const window = windows[id];
    return { id, text, loses: window ? `${loses} ${window.sentence}` : loses };
  });
  return {
    summary: [decision.reason, ...decision.findings, ...decision.lossWindow.unknown].join('\n\n'),
    choices,
    default: choices.find(({ id }) => id === wanted)?.id ?? decision.default,
    plan,
  };
}
