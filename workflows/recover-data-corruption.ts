import { CancellationScope, isCancellation, proxyActivities, uuid4, workflowInfo } from '@temporalio/workflow';
import type { AnswersActivities } from '../activities/answers.ts';
import type { FoundDamage, ProvenChoice } from '../activities/corruption.ts';
import type { BackupPlan } from '../activities/policy.ts';
import type { CorruptionChoice } from '../incident/corruption/choices.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import { readPolicy } from './backup-steps.ts';
import { type CorruptionSteps, corruptionSteps } from './corruption-steps.ts';
import { crashSteps } from './crash-steps.ts';
import { failureCode, sentenceOf } from './failure-code.ts';
import { type GatePlan, Gates } from './gate.ts';
import { IncidentLog } from './incident-log.ts';
import { ownForIncident } from './instance-owner.ts';
import { withPatience } from './park.ts';
import { keepWhatIsLive } from './restore-gate.ts';
import { restoreSteps } from './restore-steps.ts';
import { RunStory } from './run-story.ts';
import type { RunbookResult } from './runbook-result.ts';

/** Redis runs although its files are damaged: what is in its memory is worth more than any file. */
const SAVE_AGAIN = 'save-again';

/**
 * Redis refuses to start, or its files are damaged. Everything is copied aside first; then it is said which file is
 * damaged at which byte, and what each way back loses; a person chooses; it is done on the copies and loaded by a server of
 * our own; only then it takes the place of the damaged files, which are kept.
 */
export async function recoverDataCorruption({ instance }: { readonly instance: string }): Promise<RunbookResult> {
  const story = new RunStory(`Damaged files of ${instance}`, instance);
  const { readAnswers } = proxyActivities<AnswersActivities>({ startToCloseTimeout: '30s' });
  const gates = new Gates(story, undefined, { readAnswers });
  const startedAt = workflowInfo().startTime.toISOString();
  const plan = await readPolicy({ instance, startedAt, nonce: uuid4() });
  const { policy } = plan;
  gates.under(policy);
  const owner = await ownForIncident(instance);
  const log = new IncidentLog(policy, story, gates, 'data-corruption');
  const subject = { instance, policyDigest: policy.digest, restoreId: uuid4() };
  const steps = corruptionSteps(policy, story);
  try {
    story.phase('looking');
    const patience = { gates, story, alreadyDone: () => 'The files were copied aside; nothing was changed.' };
    const found = await withPatience('diagnoseFiles', () => steps.diagnoseFiles(subject), patience);
    if (!found.diagnosis.damaged && found.diagnosis.serverWould === 'load') {
      const told = `The files of ${instance} are whole. ${found.diagnosis.text}`;
      const report = await log.store('nothing-to-do', told);
      story.phase('done', { outcome: 'nothing-to-do' });
      return { instance, kind: 'data-corruption', recovered: true, sentences: [told], report };
    }
    const { choice, proven } = await chooseAndBuild({ gates, story, steps, plan, subject }, found);
    log.loss = { lost: [choice.loses], unknown: [...choice.unknown] };
    let told = `${choice.text} Loses: ${choice.loses}`;
    if (proven) {
      story.phase('recovering');
      const wasRunning = found.runningWith !== undefined;
      const swapped = await withPatience('swapIn', () => steps.swapIn(subject, proven.built, wasRunning), {
        ...patience,
        alreadyDone: () => 'What was chosen is built and was loaded by a server of our own.',
      });
      const started = await withPatience(
        'startServer',
        () => crashSteps(policy, story).startServer(found.server, false),
        { ...patience, alreadyDone: () => `The files are in place; the damaged ones are in ${swapped.aside}.` },
      );
      told += ` ${started.keys} keys are there, ${proven.loaded.keys} were in the proof. The damaged files are in ${swapped.aside}.`;
      log.figures = { keysAfter: started.keys, keysRestored: proven.loaded.keys };
    }
    const report = await log.store('recovered', told);
    story.phase('done', { outcome: 'recovered' });
    return { instance, kind: 'data-corruption', recovered: true, sentences: [told, ...choice.unknown], report };
  } catch (error) {
    const outcome = IncidentLog.outcomeOf(error, isCancellation(error));
    story.tell(sentenceOf(error));
    await CancellationScope.nonCancellable(() => log.store(outcome, sentenceOf(error)).catch(() => undefined));
    story.phase('failed', { outcome });
    throw error;
  } finally {
    await CancellationScope.nonCancellable(async () => {
      await restoreSteps(policy, policy, story).cleanUpRestore(subject);
      await owner.release();
      await gates.close();
    });
  }
}

interface Recovery {
  readonly gates: Gates;
  readonly story: RunStory;
  readonly steps: CorruptionSteps;
  readonly plan: BackupPlan;
  readonly subject: RestoreSubject;
}

/** A person chooses, and what was chosen is built and proven; one that no server loads is off the list at the next asking. */
async function chooseAndBuild(
  { gates, story, steps, plan, subject }: Recovery,
  found: FoundDamage,
): Promise<{ choice: CorruptionChoice; proven?: ProvenChoice }> {
  const refused = new Set<string>();
  for (;;) {
    const choices = await steps.corruptionChoices(found);
    const shown = gatePlan(
      found,
      choices.filter(({ id }) => !refused.has(id)),
    );
    const answer = await gates.ask({ name: 'recover files', ...shown });
    if (answer.choice === SAVE_AGAIN) {
      await keepWhatIsLive({ gates, story }, plan);
      const text = 'Redis has saved what it holds; the damaged files are replaced by that.';
      return { choice: { id: SAVE_AGAIN, text, loses: 'nothing', unknown: [] } };
    }
    const choice = choices.find(({ id }) => id === answer.choice) as CorruptionChoice;
    story.phase('building');
    try {
      const passes = new Set([
        'CORRUPTION_CHOICE_REFUSED',
        'CORRUPTION_CHOICE_IMPOSSIBLE',
        'CORRUPTION_NOTHING_READABLE',
      ]);
      const alreadyDone = () => 'Nothing of the original was touched.';
      const proven = await withPatience('buildChoice', () => steps.buildChoice(subject, choice.id, found.archived), {
        gates,
        story,
        passes,
        alreadyDone,
      });
      return { choice, proven };
    } catch (error) {
      if (!/^CORRUPTION_/.test(failureCode(error))) throw error;
      story.tell(`${choice.id} is not possible: ${sentenceOf(error)}`);
      refused.add(choice.id);
    }
  }
}

function gatePlan({ diagnosis, runningWith }: FoundDamage, choices: readonly CorruptionChoice[]): GatePlan {
  const files = [...diagnosis.files, ...diagnosis.besides];
  const damage = files.flatMap(({ path, damage: at, before, after }) =>
    at
      ? [
          `\`${path}\` is damaged at byte ${at.offset}: ${at.what}. Readable before it: ${readable(before)}; after it: ${readable(after)}.`,
        ]
      : [],
  );
  const running =
    runningWith === undefined
      ? []
      : [
          {
            id: SAVE_AGAIN,
            text: `Redis runs, with ${runningWith} keys: back it up and have it save anew.`,
            loses: 'nothing',
          },
        ];
  const all = [...running, ...choices.map(({ id, text, loses }) => ({ id, text, loses }))];
  return {
    summary: [diagnosis.text, ...damage, 'Everything was copied aside; the originals are kept.'].join('\n\n'),
    choices: all,
    default: all[0]?.id,
    plan: {
      files: files.map(({ path, state, damage: at }) => ({ path, state, at: at?.offset })),
      choices: all.map(({ id }) => id),
    },
  };
}

function readable({ keys, commands, newest }: { keys?: number; commands?: number; newest?: string }): string {
  const counts = [
    keys !== undefined && `${keys} keys`,
    commands !== undefined && `${commands} commands`,
    newest && `up to ${newest}`,
  ];
  return counts.filter(Boolean).join(', ') || 'nothing';
}
