import type { CrashChoice } from './choice.ts';
import type { CrashFacts, Moment } from './facts.ts';
import { timeOfDeath } from './time-of-death.ts';
import { durationWords, timeWords } from './words.ts';

/**
 * What is lost with a copy, as a sentence and in seconds.
 *
 * @param safeUntil up to when every write is in the copy
 * @param which ends the sentence: which of the writes after that are gone
 */
export function lossOf(
  facts: CrashFacts,
  safeUntil: Moment | undefined,
  which: string,
): Pick<CrashChoice, 'loses' | 'losesSeconds'> {
  const death = timeOfDeath(facts);
  if (!safeUntil)
    return { loses: `An unknown span of writes: those that ${which}; how old this copy is cannot be known.` };
  if (!death)
    return { loses: `The writes after ${timeWords(safeUntil.at)} that ${which}; when the node died is not known.` };
  const losesSeconds = Math.max(0, Math.round((Date.parse(death.at) - Date.parse(safeUntil.at)) / 1000));
  if (losesSeconds === 0 && !death.exact) {
    // As far as anybody saw it alive all is there; how long it wrote after that nobody knows.
    const loses = `The writes after ${timeWords(safeUntil.at)} that ${which}; nothing shows how long it lived after that.`;
    return { loses, losesSeconds };
  }
  const span =
    losesSeconds === 0 ? 'less than a second' : `${durationWords(losesSeconds)}${death.exact ? '' : ' or more'}`;
  return { loses: `Writes of ${span} before its death that ${which}.`, losesSeconds };
}
