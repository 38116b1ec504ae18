import type { InstanceContext } from '../backup/instance-context.ts';
import type { CompareCursor } from '../restore/compare/compare-task.ts';
import { type CompareRequest, type Comparison, compareRestored } from '../restore/compare-restored.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import { runStep } from './step.ts';

type Asked = Omit<CompareRequest, 'kind'>;

/** Looking at what was put back: it shares no code with what put it there. */
export function compareActivities(contextOf: (subject: RestoreSubject) => Promise<InstanceContext>) {
  const compare = (kind: CompareRequest['kind']) => (subject: RestoreSubject, asked: Asked) =>
    runStep<Comparison, CompareCursor>(async (io) =>
      compareRestored(await contextOf(subject), subject, { ...asked, kind }, io),
    );
  return {
    /** Keys chosen by chance, by content: seconds. */
    compareRestored: compare('sample'),

    /** Every key by content, going on where an earlier attempt was cut off. */
    compareAll: compare('every-key'),
  };
}

export type CompareActivities = ReturnType<typeof compareActivities>;
