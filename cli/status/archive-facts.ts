import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { FollowFigures } from '../../archive/follow/follow-options.ts';
import type { ArchiveFacts } from '../../check/archive.ts';
import { shipAofId } from '../../schedules/archives.ts';

/** What the run that archives an instance last told: its figures are in the heartbeat of its one step. */
export async function archiveFacts(client: Client, instance: string): Promise<ArchiveFacts> {
  try {
    const { status, raw } = await client.workflow.getHandle(shipAofId(instance)).describe();
    if (status.name !== 'RUNNING') return { running: false };
    const step = raw.pendingActivities?.find(({ activityType }) => activityType?.name === 'followAof');
    const [payload] = step?.heartbeatDetails?.payloads ?? [];
    const figures =
      payload?.data && (JSON.parse(Buffer.from(payload.data).toString()) as { cursor?: FollowFigures }).cursor;
    const beatAt = Number(step?.lastHeartbeatTime?.seconds ?? 0) * 1_000;
    return { running: true, ...(figures ? { figures, ageMs: Math.max(0, Date.now() - beatAt) } : {}) };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return { running: false };
    throw error;
  }
}
