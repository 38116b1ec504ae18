import { type Finding, failureFinding } from './finding.ts';
import { isFailure, type Observed, type QueueFacts, type TemporalFacts } from './observed.ts';
import { sentence } from './words.ts';

/** Temporal, and the processes that must be there for a backup by schedule. */
export function roleFindings({ temporal, policy }: Observed): Finding[] {
  const { instance } = policy;
  if (isFailure(temporal)) {
    const { code, message, next } = temporal.failure;
    const consequence = `${sentence(message)} No backup is taken by schedule, and only what can be seen from here was looked at.`;
    return [
      { code, severity: 'error', consequence, fix: code === 'TEMPORAL_UNREACHABLE' ? withoutTemporal(instance) : next },
    ];
  }
  const findings: Finding[] = [];
  const silent = (code: string, queue: QueueFacts, role: string, consequence: string) => {
    if (queue.busyWith || (queue.pollers > 0 && queue.answered !== false)) return;
    const heard =
      queue.pollers > 0
        ? `The ${role} worker that polled ${queue.queue} in ${temporal.namespace} a minute ago takes nothing from it`
        : `No ${role} worker polls ${queue.queue} in ${temporal.namespace}`;
    const command = `rewind worker --role ${role}${role === 'host' ? ` --instance ${instance}` : ''}`;
    findings.push({ code, severity: 'error', consequence: `${heard}: ${consequence}`, fix: command });
  };
  silent('ORCHESTRATOR_SILENT', temporal.orchestrator, 'orchestrator', 'no workflow runs.');
  if (temporal.agent) silent('AGENT_SILENT', temporal.agent, 'host', 'no backup can be taken.');
  silent('SANDBOX_SILENT', temporal.sandbox, 'sandbox', 'no backup is proven by loading it; each stays unproven.');
  if (temporal.sandbox.busyWith) {
    findings.push({
      code: 'SANDBOX_BUSY',
      severity: 'info',
      consequence: `The sandbox is proving a backup (${temporal.sandbox.busyWith}) and could not be asked.`,
      fix: `rewind check ${instance} (when it is done)`,
    });
  }
  return findings;
}

/** Whether backups are taken by themselves. */
export function scheduleFindings({ temporal, policy }: Observed): Finding[] {
  if (isFailure(temporal) || !temporal.schedule) return [];
  const { id, state, paused } = temporal.schedule;
  if (state === 'foreign') {
    return [
      failureFinding('The schedule', {
        code: 'SCHEDULE_FOREIGN',
        message: `${id} exists and belongs to something else; this instance is not backed up by schedule.`,
        next: `temporal schedule describe --schedule-id ${id} ${at(temporal)}`,
      }),
    ];
  }
  if (state !== 'as-configured') {
    return [
      {
        code: state === 'missing' ? 'SCHEDULE_MISSING' : 'SCHEDULE_DIFFERS',
        severity: 'warning',
        consequence:
          state === 'missing'
            ? `Temporal has no schedule ${id}: ${policy.instance} is not backed up by itself.`
            : `The schedule ${id} is not what the configuration says.`,
        fix: 'rewind apply',
      },
    ];
  }
  if (paused === undefined) return [];
  return [
    {
      code: 'SCHEDULE_PAUSED',
      severity: 'warning',
      consequence: `The schedule ${id} is paused${paused ? ` ("${paused}")` : ''}: ${policy.instance} is not backed up by itself.`,
      fix: `temporal schedule toggle --unpause --schedule-id ${id} --reason checked ${at(temporal)}`,
    },
  ];
}

const at = ({ address, namespace }: TemporalFacts): string => `--address ${address} --namespace ${namespace}`;

const withoutTemporal = (instance: string): string => `rewind backup ${instance} --without-temporal`;
