import { SERVER_FILE_BYTES } from '../../redis/server-file.ts';
import { listBackups } from '../../repository/catalogue.ts';
import { type BackupName, backupObject } from '../../repository/layout.ts';
import type { Manifest } from '../../repository/manifest.ts';
import type { Moment } from './moment.ts';
import type { ArchivePlace } from './records.ts';

/**
 * Puts the description of the server beside the dump of a moment: an archive has no users and no settings, so they are those
 * that the newest backup of before it tells of, or, where there is none, the oldest of after it.
 *
 * @returns undefined where no backup tells of any @throws those of the store
 */
export async function storeServerOfMoment(
  { repository, instance }: ArchivePlace,
  { timeMs }: Moment,
  name: BackupName,
): Promise<Manifest['serverFile']> {
  const key = backupObject(name, 'server.json');
  const there = await repository.stat(key);
  if (there) return { file: 'server.json', sizeBytes: there.sizeBytes };
  const telling = (await listBackups(repository, instance)).filter(({ manifest }) => manifest?.serverFile);
  const from = telling.find(({ time }) => Date.parse(time) <= timeMs) ?? telling.at(-1);
  if (!from) return undefined;
  const stored = await repository.putSmall(
    key,
    await repository.readSmall(`${from.directory}server.json`, SERVER_FILE_BYTES),
  );
  return { file: 'server.json', sizeBytes: stored.sizeBytes };
}
