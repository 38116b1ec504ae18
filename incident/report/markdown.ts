import { durationWords, timeWords } from '../crash/words.ts';
import type { IncidentReport } from './incident-report.ts';
import { bullet, paragraph, table } from './markdown-text.ts';

const kinds: Readonly<Record<IncidentReport['kind'], string>> = {
  'node-crash': 'Node crash',
  'data-corruption': 'Data corruption',
  'accidental-flush': 'Accidental flush',
  restore: 'Restore',
};

const outcomes: Readonly<Record<IncidentReport['outcome'], string>> = {
  recovered: 'Recovered.',
  'recovered-in-part': 'Recovered in part.',
  'nothing-to-do': 'Nothing had to be done.',
  rejected: 'A person rejected the plan; nothing was changed by it.',
  'timed-out': 'Nobody answered the gate in time; nothing was changed by it.',
  aborted: 'A person ended it before its end.',
  cancelled: 'It was cancelled.',
  failed: 'It failed.',
};

/** The report as a page that can be read aloud: sentences first, tables only where a list is one. At most 80 columns. */
export function renderMarkdown(report: IncidentReport): string {
  const { instance, startedAt, endedAt, summary, outcome } = report;
  const seconds = (Date.parse(endedAt) - Date.parse(startedAt)) / 1000;
  const sections = [
    `# ${kinds[report.kind]} of ${instance}, ${timeWords(startedAt)}`,
    paragraph(`${outcomes[outcome]} ${summary}`),
    paragraph(
      `It began ${timeWords(startedAt)} and ended ${timeWords(endedAt)}, after ${durationWords(seconds)}.${report.backup ? ` The data came from the backup ${report.backup}.` : ''}`,
    ),
    section('What was found', report.found.map(bullet)),
    section('What was lost', lossLines(report)),
    section('What was decided, and by whom', decisionLines(report)),
    section('What was done', stepLines(report)),
    section('Figures', figureLines(report)),
    section('Compared afterwards', comparisonLines(report)),
    section('Still open', report.openPoints.map(bullet)),
    section('Where to look', whereLines(report)),
  ];
  return `${sections.filter((text) => text !== '').join('\n\n')}\n`;
}

function section(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? '' : `## ${title}\n\n${lines.join('\n')}`;
}

function lossLines({ loss }: IncidentReport): string[] {
  return [
    ...(loss.sentence ? [bullet(loss.sentence)] : []),
    ...loss.lost.map(bullet),
    ...loss.unknown.map((each) => bullet(`Not known: ${each}${/[.!?]$/.test(each) ? '' : '.'}`)),
  ];
}

/** Each event of the gates, and below it who answered, as they say and as Temporal says. */
function decisionLines({ decisions }: IncidentReport): string[] {
  return decisions.flatMap(({ at, what, gate, plan, message, answer }) => [
    bullet(
      `${timeWords(at)}${gate ? ` gate “${gate}”` : ''}: ${what}. ${message}${plan ? ` (Plan ${plan.slice(0, 12)}.)` : ''}`,
    ),
    ...(answer ? [bullet(answerWords(answer), 1)] : []),
  ]);
}

type Answer = NonNullable<IncidentReport['decisions'][number]['answer']>;

function answerWords({ kind, accepted, approver, identity, choice, reason, planNamed }: Answer): string {
  const who = `${approver ? `${approver}, by their own word` : 'Somebody who named nobody'}${identity ? `; ${identity} as Temporal saw it` : ''}`;
  const what = `${kind}${choice ? ` with the choice ${choice}` : ''}${accepted ? '' : ', which was refused'}`;
  const unnamed = planNamed === false ? ' The answer named no plan: it counted for the one that was open.' : '';
  return `${who}: ${what}.${reason ? ` Reason: ${reason}` : ''}${unnamed}`;
}

function stepLines({ steps }: IncidentReport): string[] {
  return steps.map(({ name, text, startedAt, endedAt, result, detail }) => {
    const took = endedAt ? `, ${durationWords((Date.parse(endedAt) - Date.parse(startedAt)) / 1000)}` : '';
    const how = result === 'done' ? '' : ` — ${result}`;
    return bullet(
      `${timeWords(startedAt).slice(11)} ${text ?? name}${text ? ` (${name})` : ''}${took}${how}.${detail ? ` ${detail}` : ''}`,
    );
  });
}

const figureNames: Readonly<Record<Exclude<keyof IncidentReport['figures'], 'more'>, string>> = {
  keysRestored: 'Keys restored',
  keysKept: 'Keys kept as they were live',
  keysReplaced: 'Live keys replaced',
  keysExpired: 'Keys left out because they had expired',
  keysBefore: 'Keys before',
  keysAfter: 'Keys afterwards',
  bytes: 'Bytes read',
  downSeconds: 'Until it was in use again',
  restoreSeconds: 'Restoring',
  waitedForPeopleSeconds: 'Waiting for people',
  fencedSeconds: 'Fenced against writes',
};

function figureLines({ figures }: IncidentReport): string[] {
  const { more = {}, ...known } = figures;
  const rows = (Object.keys(figureNames) as (keyof typeof figureNames)[]).flatMap((name) => {
    const value = known[name];
    if (value === undefined) return [];
    return [[figureNames[name], name.endsWith('Seconds') ? durationWords(value) : value.toLocaleString('en-US')]];
  });
  const others = Object.entries(more).map(([name, value]) => [
    name,
    typeof value === 'number' ? value.toLocaleString('en-US') : value,
  ]);
  return table(['figure', 'value'], [...rows, ...others] as [string, string][]);
}

function comparisonLines({ comparisons }: IncidentReport): string[] {
  return comparisons.map(({ name, result, detail, keysCompared, keysDifferent, file }) => {
    const counts = [
      ...(keysCompared === undefined ? [] : [`${keysCompared.toLocaleString('en-US')} keys compared`]),
      ...(keysDifferent === undefined ? [] : [`${keysDifferent.toLocaleString('en-US')} different`]),
    ];
    const words = result === 'not-possible' ? 'not possible' : result;
    return bullet(
      `${name}: ${words}${counts.length > 0 ? ` (${counts.join(', ')})` : ''}. ${detail}${file ? ` The keys are named in ${file}` : ''}`,
    );
  });
}

function whereLines({ workflowId, runId, files, id, revision }: IncidentReport): string[] {
  return [
    ...(workflowId ? [bullet(`Workflow ${workflowId}${runId ? `, run ${runId}` : ''}`)] : []),
    ...files.map(({ what, key }) => bullet(`${what}: ${key}`)),
    bullet(`This report: ${id}${revision > 1 ? `, revision ${revision}` : ''}`),
  ];
}
