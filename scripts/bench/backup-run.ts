import type { ConfigInput } from '../../config/schema.ts';
import { type Deployment, startDeployment } from '../../test/support/deployment.ts';
import type { RedisServer } from '../../test/support/servers.ts';
import type { Role } from '../../workers/role.ts';
import type { Stage } from './stage.ts';

/** One backup through Temporal, as its history tells it. Unix times in milliseconds. */
export interface BackupRun {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly state: string;
  readonly historyEvents: number;
  readonly historyBytes: number;
  /** When an activity was asked for, and when its result was there. */
  readonly step: (activityType: string) => { readonly askedAt: number; readonly endedAt: number };
}

/**
 * Workers of a real deployment, backing up `redis` to our MinIO. Without the sandbox's, the proof is given up after a
 * few seconds, and the backup ends unproven.
 */
export async function deploy(
  stage: Stage,
  redis: RedisServer,
  roles: readonly Role[],
  timeouts?: ConfigInput['timeouts'],
): Promise<Deployment> {
  const minio = await stage.minio();
  return startDeployment({
    temporal: await stage.temporal(),
    env: minio.env,
    config: { ...(await stage.config(redis)), timeouts: { roleSilence: '10m', ...timeouts } },
    roles,
  });
}

/** Takes one backup and reads its times from its history. @throws WorkflowFailedError */
export async function backUp(deployment: Deployment): Promise<BackupRun> {
  const handle = await deployment.startBackup();
  const { backup } = await handle.result();
  const { historyLength, historySize, startTime, closeTime } = await handle.describe();
  const { events } = await handle.fetchHistory();
  const askedAt = new Map<string, { at: number; type: string }>();
  const steps = new Map<string, { askedAt: number; endedAt: number }>();
  for (const event of events ?? []) {
    const asked = event.activityTaskScheduledEventAttributes;
    if (asked)
      askedAt.set(String(event.eventId), { at: millis(event.eventTime), type: asked.activityType?.name ?? '' });
    const ended = event.activityTaskCompletedEventAttributes ?? event.activityTaskTimedOutEventAttributes;
    const begun = askedAt.get(String(ended?.scheduledEventId));
    if (begun) steps.set(begun.type, { askedAt: begun.at, endedAt: millis(event.eventTime) });
  }
  return {
    startedAt: startTime.getTime(),
    endedAt: (closeTime as Date).getTime(),
    state: backup.state,
    historyEvents: historyLength,
    historyBytes: historySize ?? 0,
    step: (type) => {
      const step = steps.get(type);
      if (!step) throw new Error(`the backup's history has no ${type}`);
      return step;
    },
  };
}

function millis(time: { seconds?: unknown; nanos?: number | null } | null | undefined): number {
  return Number(String(time?.seconds ?? 0)) * 1000 + (time?.nanos ?? 0) / 1e6;
}
