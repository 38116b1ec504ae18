import { bytesInWords, durationInWords } from '../../check/words.ts';
import { labelled } from '../wrap.ts';
import type { InstancePlan } from './deployment-plan.ts';

/** One instance of a plan, for a person. */
export function instanceLines(name: string, plan: InstancePlan): string[] {
  const { address, dataClass, strategy, source, from, taskQueue, schedule, objectives } = plan;
  const { rtoSeconds, rpoSeconds } = objectives;
  const dump =
    source === 'dump-file'
      ? `read beside the ${from} by its agent (queue ${taskQueue})`
      : `streamed from the ${from} by replication; no agent is configured`;
  const times = schedule?.next.map((time) => `${time.slice(0, 16).replace('T', ' ')}`).join(', ');
  const when = schedule
    ? `${schedule.inWords}${schedule.jitterSeconds > 0 ? `, spread over ${durationInWords(schedule.jitterSeconds)}` : ''}; next (UTC): ${times}`
    : 'none: no backup is taken by itself';
  const lost =
    rpoSeconds === undefined
      ? 'any loss is accepted'
      : `at most ${durationInWords(rpoSeconds)} of writes are lost (RPO)`;
  const lines = [
    `${name} at ${address}`,
    labelled('strategy', `${strategy} (${dataClass})`),
    labelled('dump', dump),
    labelled('schedule', when),
    ...(plan.archive ? [labelled('archive', archiveText(plan.archive))] : []),
    labelled('objectives', `back within ${durationInWords(rtoSeconds)} (RTO); ${lost}`),
  ];
  // With an archive what came after the last backup is not lost.
  if (schedule && rpoSeconds !== undefined && !plan.archive) {
    const { intervalSeconds, jitterSeconds, runSeconds, oldestSeconds } = schedule;
    const sum = [
      `${durationInWords(intervalSeconds)} between two`,
      ...(jitterSeconds > 0 ? [`${durationInWords(jitterSeconds)} of jitter`] : []),
      `${durationInWords(runSeconds)} for a run`,
    ].join(', ');
    const missed = oldestSeconds > rpoSeconds;
    const more = ` Take them more often: instances.${name}.backup.every`;
    lines.push(
      labelled(
        '',
        `${missed ? 'NOT MET by this schedule: the' : 'the'} last proven backup may become ${durationInWords(oldestSeconds)} old (${sum}).${missed ? more : ''}`,
      ),
    );
  }
  return lines;
}

function archiveText({
  from,
  segmentMs,
  segmentBytes,
  spoolBytes,
  month,
}: NonNullable<InstancePlan['archive']>): string {
  const every = segmentMs < 1_000 ? `${segmentMs} ms` : durationInWords(segmentMs / 1_000);
  const requests = `${(month.writes / 1e6).toFixed(2)} million PUT and LIST, ${(month.reads / 1e6).toFixed(2)} million GET and HEAD`;
  const [what, where] =
    from === 'file'
      ? ['the append-only file is followed', 'on its disk']
      : ['the replication stream is followed', 'on the disk of who follows it'];
  return `${what}: a segment every ${every} or ${bytesInWords(segmentBytes)}; at most ${bytesInWords(spoolBytes)} wait ${where}. Where writes never stop: ${requests} a month, ${month.usd.toFixed(2)} USD for the requests at the prices of S3 Standard in us-east-1; storage comes on top`;
}
