import type { InstanceContext } from '../backup/instance-context.ts';
import { type PublishedBackup, type PublishRequest, publishBackup } from '../backup/publish.ts';
import type { BackupSubject } from '../backup/subject.ts';
import { runStep } from './step.ts';

export type { PublishRequest };

/** Steps on the catalogue, which is the repository itself: losing Temporal loses no backup. */
export function catalogueActivities(contextOf: (subject: BackupSubject) => Promise<InstanceContext>) {
  return {
    /** Judges the checks and writes the manifest, last of all: a directory without one is not a backup. */
    publish: (request: PublishRequest): Promise<PublishedBackup> =>
      runStep(async () => publishBackup(await contextOf(request.subject), request)),
  };
}

export type CatalogueActivities = ReturnType<typeof catalogueActivities>;
