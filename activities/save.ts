import { activityInfo } from '@temporalio/activity';
import { noteAsked, readAsked } from '../backup/asked-save.ts';
import { followSave, type SaveEnd } from '../backup/follow-save.ts';
import type { InstanceContext } from '../backup/instance-context.ts';
import { type PreflightReport, preflight } from '../backup/preflight.ts';
import { storeServerDescription } from '../backup/store.ts';
import type { BackupSubject } from '../backup/subject.ts';
import { givingWay } from '../process/give-way.ts';
import { withRedis } from '../redis/connection.ts';
import { withForkTurn } from '../redis/host-forks.ts';
import { type SaveStart, startRewrite, startSave } from '../redis/save.ts';
import type { UploadCursor } from '../repository/repository.ts';
import { runStep } from './step.ts';

/** Steps that ask Redis for a save and wait for it. They run beside Redis. */
export function saveActivities(contextOf: (subject: BackupSubject) => Promise<InstanceContext>) {
  return {
    /** Looks whether a backup can work, and whether this is the server whose backups are under this name. */
    preflight: (subject: BackupSubject): Promise<PreflightReport> =>
      runStep(async () => {
        const context = await contextOf(subject);
        const report = await withRedis(context.target, (redis) => preflight(redis, context));
        // The store is tried before Redis forks, and a dump is worth storing also when its server has died since.
        await storeServerDescription(context, subject);
        return report;
      }),

    /** Asks Redis for a save; a repetition after a crash finds the save that it asked for before. */
    bgsave: (subject: BackupSubject): Promise<SaveStart> =>
      runStep<SaveStart, number>(async (io) => {
        const context = await contextOf(subject);
        const { activityId } = activityInfo();
        const asked = { home: context.home, instance: subject.instance, save: `${subject.backupId} ${activityId}` };
        // A heartbeat that was not sent any more is missing; what is on the disk of this agent is not.
        const askedSince = (await readAsked(asked)) ?? io.resumeFrom;
        return withRedis(context.target, (redis) => {
          const onWait = (note: string) => io.onProgress({ phase: 'wait', note });
          const onAsk = async (second: number) => {
            await noteAsked(asked, second);
            io.onCursor(second);
          };
          return withForkTurn(io.signal, () => startSave(redis, { signal: io.signal, askedSince, onAsk, onWait }), {
            onWait,
          });
        });
      }),

    /** Waits until the save has ended, and stores meanwhile; its heartbeats carry the share of keys that Redis has written. */
    waitForBgsave: (subject: BackupSubject, start: SaveStart): Promise<SaveEnd> =>
      runStep<SaveEnd, UploadCursor>(async (io) => {
        const context = await contextOf(subject);
        return givingWay(() => withRedis(context.target, (redis) => followSave(redis, context, subject, start, io)));
      }),

    /** Asks for a rewrite of the append-only file, now that the save is over: never both at once. */
    bgrewriteaof: (subject: BackupSubject): Promise<{ asked: boolean }> =>
      runStep(async (io) => {
        const { target } = await contextOf(subject);
        const onWait = (note: string) => io.onProgress({ phase: 'wait', note });
        return withRedis(target, async (redis) => ({
          asked: await withForkTurn(io.signal, () => startRewrite(redis), { onWait }),
        }));
      }),
  };
}

export type SaveActivities = ReturnType<typeof saveActivities>;
