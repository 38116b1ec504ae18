import type { Choice } from './gate-decision.ts';
import type { GateShown } from './gate-shown.ts';

/** How a run is named in commands. */
export interface RunNamed {
  readonly workflowId: string;
  readonly namespace: string;
}

/** The gate as the Temporal UI shows it, with commands to copy. */
export function gatePage(gate: GateShown, run: RunNamed): string {
  return gate.parked ? parkedPage(gate, run) : approvalPage(gate, run);
}

function approvalPage(gate: GateShown, run: RunNamed): string {
  const { name, plan, summary, choices, approvals, required, deadline, approved } = gate;
  const until = deadline ? `, until ${deadline}, then it is rejected` : '';
  const waits = `**Waits for a person at \`${name}\`** (${approvals} of ${required} approvals${until})`;
  const head = approved === undefined ? waits : `**\`${name}\` is approved: \`${approved}\`**, looking once more`;
  const who = (gate.approvers ?? []).map(({ approver, choice, at }) => `- ${approver} approved \`${choice}\` at ${at}`);
  const choice = choices.length > 1 ? (gate.default ?? (choices[0] as Choice).id) : undefined;
  return [
    head,
    '',
    summary,
    '',
    ...choices.map(
      ({ id, text, loses }) => `- \`${id}\`${id === gate.default ? ' (default)' : ''}: ${text} Loses: ${loses}`,
    ),
    ...who,
    '',
    `Plan \`${plan}\`. To answer:`,
    '',
    '```sh',
    `rewind approve ${shellWord(run.workflowId)}${choice ? ` --choice ${shellWord(choice)}` : ''}`,
    `rewind reject ${shellWord(run.workflowId)} --reason 'WHY'`,
    byTemporal(run, 'approve', { approver: 'YOUR NAME', plan, ...(choice ? { choice } : {}) }),
    byTemporal(run, 'reject', { approver: 'YOUR NAME', reason: 'WHY' }),
    '```',
  ].join('\n');
}

function parkedPage({ summary, choices }: GateShown, run: RunNamed): string {
  const skippable = choices.some(({ id }) => id === 'skip');
  return [
    '**Parked: it waits for a person, without end**',
    '',
    summary,
    '',
    ...choices.map(({ id, text, loses }) => `- \`${id}\`: ${text} Loses: ${loses}`),
    '',
    '```sh',
    `rewind retry ${shellWord(run.workflowId)}`,
    ...(skippable ? [`rewind skip ${shellWord(run.workflowId)}`] : []),
    `rewind abort ${shellWord(run.workflowId)} --reason 'WHY'`,
    byTemporal(run, 'retry', { approver: 'YOUR NAME' }),
    ...(skippable ? [byTemporal(run, 'skip', { approver: 'YOUR NAME' })] : []),
    byTemporal(run, 'abort', { approver: 'YOUR NAME', reason: 'WHY' }),
    '```',
  ].join('\n');
}

/** The update answers at once; the same as a signal is stored while no worker is up. */
function byTemporal({ workflowId, namespace }: RunNamed, name: string, input: Record<string, string>): string {
  const where = namespace === 'default' ? '' : ` --namespace ${shellWord(namespace)}`;
  return `temporal workflow update execute${where} --workflow-id ${shellWord(workflowId)} --name ${name} --input ${shellWord(JSON.stringify(input))}`;
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
