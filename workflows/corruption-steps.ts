import { proxyActivities } from '@temporalio/workflow';
import type {
  ArchivedState,
  CorruptionActivities,
  CorruptionChoicesActivity,
  FoundDamage,
  ProvenChoice,
} from '../activities/corruption.ts';
import type { BuiltChoice } from '../incident/corruption/build-choice.ts';
import type { CorruptionChoice } from '../incident/corruption/choices.ts';
import type { SwappedIn } from '../incident/corruption/swap-in.ts';
import type { InstancePolicy } from '../policy/instance-policy.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import { seconds } from './figures.ts';
import { patienceOf } from './patience.ts';
import type { RunStory } from './run-story.ts';

export type CorruptionSteps = ReturnType<typeof corruptionSteps>;

/** Every step on damaged files, where they are, and the choices from the catalogue. */
export function corruptionSteps(policy: InstancePolicy, story: RunStory) {
  const host = proxyActivities<CorruptionActivities>({ ...patienceOf(policy), taskQueue: policy.hostQueue });
  const orchestrator = proxyActivities<CorruptionChoicesActivity>({ ...patienceOf(policy), taskQueue: 'rewind' });
  return {
    async diagnoseFiles(subject: RestoreSubject): Promise<FoundDamage> {
      story.step('diagnoseFiles');
      const found = await host.diagnoseFiles.executeWithOptions({ summary: 'copied aside; which is damaged where?' }, [
        subject,
      ]);
      story.tell(found.diagnosis.text);
      if (found.archiveTold !== undefined) story.tell(found.archiveTold);
      return found;
    },

    corruptionChoices: ({ diagnosis, archived }: FoundDamage): Promise<CorruptionChoice[]> =>
      orchestrator.corruptionChoices.executeWithOptions({ summary: 'what each way back loses' }, [
        { instance: policy.instance, policyDigest: policy.digest },
        diagnosis,
        archived,
      ]),

    async buildChoice(subject: RestoreSubject, choice: string, archived?: ArchivedState): Promise<ProvenChoice> {
      story.step('buildChoice');
      const proven = await host.buildChoice.executeWithOptions({ summary: `${choice}, on the copies` }, [
        subject,
        choice,
        archived,
      ]);
      const { keys, loadMs } = proven.loaded;
      story.tell(`${choice} is built; a server of our own has loaded ${keys} keys of it in ${seconds(loadMs)}`);
      for (const note of proven.built.notes) story.tell(note);
      return proven;
    },

    async swapIn(subject: RestoreSubject, built: BuiltChoice, wasRunning: boolean): Promise<SwappedIn> {
      story.step('swapIn');
      const swapped = await host.swapIn.executeWithOptions({ summary: 'in the place of the damaged ones' }, [
        subject,
        built,
        wasRunning,
      ]);
      story.tell(`${swapped.placed.join(', ')} in place; what was there is in ${swapped.aside}`);
      return swapped;
    },
  };
}
