import type { GateShown } from '../workflows/gate-shown.ts';

/** What a run that waits for a person shows in a terminal, and how to answer it. */
export function gateNotice(workflowId: string, gate: GateShown): string {
  const lines = gate.summary.split('\n').map((line) => (line === '' ? '' : `  ${line}`));
  const choices = gate.choices.map(
    ({ id, text, loses }) =>
      `  --choice ${id}${id === gate.default ? ' (default)' : ''}\n      ${text}\n      loses: ${loses}`,
  );
  const answers =
    gate.name === 'parked'
      ? [`rewind retry ${workflowId}`, `rewind abort ${workflowId} --reason TEXT`]
      : [`rewind approve ${workflowId}`, `rewind reject ${workflowId} --reason TEXT`];
  return [
    '',
    `${workflowId} waits for a person: ${gate.name} (${gate.approvals} of ${gate.required} approvals)`,
    ...lines,
    ...choices,
    ...answers.map((answer) => `  ${answer}`),
    '',
  ].join('\n');
}
