import type { GateShown } from '../workflows/gate-shown.ts';
import { wrap, wrapLines } from './wrap.ts';

/**
 * What a run that waits for a person shows, and how to answer it.
 *
 * @param isTerminal in 80 columns, with whole words; else each sentence stays a line, for programs
 */
export function gateNotice(workflowId: string, gate: GateShown, isTerminal: boolean): string {
  const answers =
    gate.name === 'parked'
      ? [`rewind retry ${workflowId}`, `rewind abort ${workflowId} --reason TEXT`]
      : [`rewind approve ${workflowId}`, `rewind reject ${workflowId} --reason TEXT`];
  const asked = `${workflowId} waits for a person: ${gate.name} (${gate.approvals} of ${gate.required} approvals)`;
  return [
    '',
    isTerminal ? wrap(asked, 0, 2) : asked,
    summaryText(gate, isTerminal, 2),
    ...gate.choices.map((choice) => {
      const head = `  --choice ${choice.id}${choice.id === gate.default ? ' (default)' : ''}`;
      const texts = [choice.text, `loses: ${choice.loses}`];
      return [head, ...texts.map((text) => (isTerminal ? wrap(text, 6) : `      ${text}`))].join('\n');
    }),
    ...answers.map((answer) => `  ${answer}`),
    '',
  ].join('\n');
}

/** What was found, which is Markdown for the Temporal UI: a terminal does without its marks of bold type. */
export function summaryText({ summary }: Pick<GateShown, 'summary'>, isTerminal: boolean, indent = 0): string {
  if (isTerminal) return wrapLines(summary.replaceAll('**', ''), indent);
  return summary
    .split('\n')
    .map((line) => (line === '' ? '' : `${' '.repeat(indent)}${line}`))
    .join('\n');
}
