import { createHash } from 'node:crypto';
import { type BackupName, newBackupId, type Tier, timeOfBackupId } from '../../repository/layout.ts';
import type { Manifest } from '../../repository/manifest.ts';

/** A manifest of these bytes as a verified backup writes it. */
export function manifestOf(name: BackupName, dump: Buffer, more: Partial<Manifest> = {}): Manifest {
  const startedAt = timeOfBackupId(name.backupId) as Date;
  const endedAt = new Date(startedAt.getTime() + 3_000);
  return {
    formatVersion: 1,
    instance: name.instance,
    tier: name.tier,
    backupId: name.backupId,
    server: {
      identity: '6b0f4a3e-7a6c-4d6e-9a39-0d5a3a1f3c11',
      name: 'redis',
      version: '7.0.15',
      runId: 'f'.repeat(40),
    },
    rdb: { magic: 'REDIS', version: 10 },
    source: 'dump-file',
    save: { startedAt: startedAt.toISOString(), endedAt: endedAt.toISOString() },
    replication: { id: 'a'.repeat(40), offset: 12_345 },
    dump: {
      file: 'dump.rdb',
      sizeBytes: dump.length,
      sha256: createHash('sha256').update(dump).digest('hex'),
      compression: 'none',
      encryption: { sse: 'none' },
      storeChecksum: null,
    },
    serverFile: { file: 'server.json', sizeBytes: 2 },
    keys: { total: 3, withExpiry: 1, byDatabase: { '0': 2, '15': 1 } },
    functionLibraries: 0,
    modules: [],
    state: 'verified',
    verifications: [
      { name: 'load', result: 'ok', detail: 'loaded', figures: { ms: 12 }, time: '2026-11-23T20:51:00Z' },
    ],
    ...more,
  };
}

/** The name of a backup that was begun so many hours after the first one. */
export function backupAt(hour: number, tier: Tier = 'hourly', instance = 'orders'): BackupName {
  return { instance, tier, backupId: newBackupId(new Date(Date.UTC(2026, 10, 1, hour)), `${instance}-${hour}`) };
}
