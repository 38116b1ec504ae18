import { randomBytes } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { findBackup, latestByTier, listBackups } from '../../repository/catalogue.ts';
import { adoptIdentity, createIdentity, extendIdentity, readIdentity } from '../../repository/identity.ts';
import { type BackupName, backupDirectory, backupObject, failedDirectory } from '../../repository/layout.ts';
import type { LaterProof, Manifest } from '../../repository/manifest.ts';
import { openRepository } from '../../repository/open.ts';
import { addVerification, publishManifest, quarantine } from '../../repository/publish.ts';
import type { Repository } from '../../repository/repository.ts';
import { backupAt, manifestOf } from '../support/manifests.ts';
import { openTestRepository, testPlace } from '../support/s3-repository.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const kinds = {
  'file://': async () => {
    const folder = await temporaryFolder('catalogue');
    return { repository: await openRepository({ url: pathToFileURL(folder.path).href }), end: folder.remove };
  },
  's3://': async () => {
    const minio = inject('minio');
    const encryption = { sse: 'aws:kms', kmsKeyId: minio.kmsKeyId } as const;
    const repository = await openTestRepository(testPlace(minio), { encryption });
    return { repository, end: async () => repository.close() };
  },
};

describe.each(Object.entries(kinds))('%s', (_, open) => {
  let repository: Repository;
  let end: () => Promise<void>;
  beforeEach(async () => {
    ({ repository, end } = await open());
  });
  afterEach(() => end());

  async function stored(name: BackupName, more: Partial<Manifest> = {}): Promise<Manifest> {
    const dump = randomBytes(100);
    await repository.putSmall(backupObject(name, 'dump.rdb'), dump);
    await repository.putSmall(backupObject(name, 'server.json'), Buffer.from('{}'));
    return manifestOf(name, dump, more);
  }

  const published = async (name: BackupName, more: Partial<Manifest> = {}) => {
    const manifest = await stored(name, more);
    await publishManifest(repository, manifest);
    return manifest;
  };

  test('backups of all tiers are listed newest first, of this instance only', async () => {
    await published(backupAt(5));
    await published(backupAt(1, 'monthly'));
    await published(backupAt(3, 'daily'));
    await published(backupAt(9, 'daily', 'orders2'));
    const listed = await listBackups(repository, 'orders');
    expect(listed.map(({ id, tier }) => [id, tier])).toEqual([
      [backupAt(5).backupId, 'hourly'],
      [backupAt(3).backupId, 'daily'],
      [backupAt(1).backupId, 'monthly'],
    ]);
    expect(listed[0]).toMatchObject({
      time: '2026-11-01T05:00:00.000Z',
      sizeBytes: 100,
      keys: 3,
      state: 'verified',
      verifiedAt: '2026-11-23T20:51:00Z',
      directory: backupDirectory(backupAt(5)),
      manifest: { server: { version: '7.0.15' } },
    });
    expect(await listBackups(repository, 'nobody')).toEqual([]);
  });

  test('a moment of the archive stands where its time belongs, though its id is of midnight', async () => {
    await published(backupAt(3));
    await published(backupAt(0), { save: { startedAt: '2026-11-01T04:00:00Z', endedAt: '2026-11-01T04:00:03Z' } });
    const listed = await listBackups(repository, 'orders');
    expect(listed.map(({ id }) => id)).toEqual([backupAt(0).backupId, backupAt(3).backupId]);
  });

  test('nothing without a manifest is listed', async () => {
    await stored(backupAt(1));
    await repository.putSmall('hourly/orders/README.txt', Buffer.from('by a person'));
    expect(await listBackups(repository, 'orders', { all: true })).toEqual([]);
    await expect(findBackup(repository, 'orders', backupAt(1).backupId)).rejects.toMatchObject({
      code: 'BACKUP_UNKNOWN',
    });
  });

  test('a backup whose dump is gone, or is not as long as it was, is expired and never restorable', async () => {
    await published(backupAt(1));
    const cut = await stored(backupAt(2));
    await publishManifest(repository, { ...cut, dump: { ...cut.dump, sizeBytes: 101 } });
    await repository.remove(backupObject(backupAt(1), 'dump.rdb'));
    const listed = await listBackups(repository, 'orders');
    expect(listed.map(({ state, reason }) => [state, reason])).toEqual([
      ['expired', 'its dump has 100 bytes, 101 were stored'],
      ['expired', 'its dump is not in the repository any more'],
    ]);
  });

  test('a damaged manifest is an entry with its reason, and the others are listed as ever', async () => {
    await published(backupAt(1));
    const damaged = {
      2: '{"formatVersion":1',
      3: '{"formatVersion":2}',
      4: JSON.stringify(manifestOf(backupAt(1), Buffer.from(''))),
    };
    for (const [hour, text] of Object.entries(damaged)) {
      await stored(backupAt(Number(hour)));
      await repository.putSmall(backupObject(backupAt(Number(hour)), 'manifest.json'), Buffer.from(text));
    }
    await repository.putSmall(backupObject(backupAt(5), 'manifest.json'), Buffer.alloc(2 * 1024 * 1024, ' '));
    const listed = await listBackups(repository, 'orders');
    expect(
      listed.map(({ state, reason, manifest }) => [
        state,
        reason?.match(/no JSON|newer|another backup|at most/)?.[0],
        !!manifest,
      ]),
    ).toEqual([
      ['unproven', 'at most', false],
      ['unproven', 'another backup', false],
      ['unproven', 'newer', false],
      ['unproven', 'no JSON', false],
      ['verified', undefined, true],
    ]);
  });

  test('a manifest is published once: the same backup again is fine, another one is not', async () => {
    const manifest = await published(backupAt(1));
    await expect(publishManifest(repository, manifest)).resolves.toMatchObject({ id: manifest.backupId });
    const later = { ...manifest, save: { ...manifest.save, endedAt: '2026-11-23T20:59:00Z' } };
    await expect(publishManifest(repository, later)).resolves.toMatchObject({ state: 'verified' });
    const { manifest: standing } = await findBackup(repository, 'orders', manifest.backupId);
    expect(standing?.save.endedAt).toBe(manifest.save.endedAt);
    const other = { ...manifest, dump: { ...manifest.dump, sha256: '0'.repeat(64) } };
    await expect(publishManifest(repository, other)).rejects.toMatchObject({ code: 'OBJECT_EXISTS' });
  });

  test('an unproven backup becomes verified by a later proof, and stays so when one was not possible', async () => {
    await published(backupAt(1), { state: 'unproven', reason: 'no server of that version' });
    await addVerification(repository, backupAt(1), proof('2026-11-24T08:00:00Z', 'unproven', 'still none'));
    expect(await only()).toMatchObject({ state: 'unproven', reason: 'still none' });
    await addVerification(repository, backupAt(1), proof('2026-11-24T09:00:00Z', 'verified'));
    expect(await only()).toMatchObject({ state: 'verified', reason: undefined, verifiedAt: '2026-11-24T09:00:00Z' });
    await addVerification(repository, backupAt(1), proof('2026-11-24T10:00:00Z', 'unproven', 'too little memory'));
    expect(await only()).toMatchObject({ state: 'verified' });
  });

  test('a later proof that contradicts a backup stands for ever', async () => {
    await published(backupAt(1));
    await addVerification(repository, backupAt(1), proof('2026-11-24T08:00:00Z', 'failed', 'its SHA-256 differs'));
    await addVerification(repository, backupAt(1), proof('2026-11-24T09:00:00Z', 'verified'));
    expect(await only()).toMatchObject({ state: 'failed', reason: 'its SHA-256 differs' });
  });

  test('a damaged proof proves nothing', async () => {
    await published(backupAt(1), { state: 'unproven', reason: 'no server' });
    await repository.putSmall(
      `${backupDirectory(backupAt(1))}verifications/20261124T080000Z-00000000.json`,
      Buffer.from('{'),
    );
    expect(await only()).toMatchObject({ state: 'unproven', reason: 'no server' });
  });

  test('what a check contradicted goes under failed/, is listed only with all, and cannot be restored', async () => {
    const failed: Manifest = { ...(await stored(backupAt(2))), state: 'failed', reason: 'its SHA-256 differs' };
    await published(backupAt(1));
    await quarantine(repository, failed);
    await quarantine(repository, failed);
    expect((await listBackups(repository, 'orders')).map(({ id }) => id)).toEqual([backupAt(1).backupId]);
    const all = await listBackups(repository, 'orders', { all: true });
    expect(all[0]).toMatchObject({
      state: 'failed',
      reason: 'its SHA-256 differs',
      directory: failedDirectory(backupAt(2)),
    });
    expect(await keysBelow(backupDirectory(backupAt(2)))).toEqual([]);
    expect(await keysBelow(failedDirectory(backupAt(2)))).toEqual(['dump.rdb', 'manifest.json', 'server.json']);
    await expect(findBackup(repository, 'orders', backupAt(2).backupId)).resolves.toMatchObject({ state: 'failed' });
  });

  test('a verified backup that a later check contradicted is out of reach from the first moment of its quarantine', async () => {
    const manifest = await published(backupAt(1));
    const failed: Manifest = { ...manifest, state: 'failed', reason: 'contradicted later' };
    // Killed right after the failed manifest was written: all else is still where it was.
    await repository.putSmall(
      `${failedDirectory(backupAt(1))}manifest.json`,
      Buffer.from(`${JSON.stringify(failed, null, 2)}\n`),
    );
    expect(await listBackups(repository, 'orders')).toEqual([]);
    await expect(findBackup(repository, 'orders', manifest.backupId)).resolves.toMatchObject({ state: 'failed' });
    await quarantine(repository, failed);
    expect(await keysBelow(backupDirectory(backupAt(1)))).toEqual([]);
    expect(await keysBelow(failedDirectory(backupAt(1)))).toEqual(['dump.rdb', 'manifest.json', 'server.json']);
  });

  test('the newest backup of each tier is known without reading a manifest', async () => {
    await published(backupAt(1, 'daily'));
    await published(backupAt(7));
    await published(backupAt(6));
    await quarantine(repository, { ...(await stored(backupAt(9, 'weekly'))), state: 'failed' });
    expect(await latestByTier(repository, 'orders')).toEqual({
      daily: new Date(Date.UTC(2026, 10, 1, 1)),
      hourly: new Date(Date.UTC(2026, 10, 1, 7)),
    });
  });

  test('of two agents that make an instance’s identity at once, both hold the same one', async () => {
    expect(await readIdentity(repository, 'orders')).toBeUndefined();
    const signs = (id: string) => ({ replicationIds: [id.repeat(40)], addresses: ['10.0.0.5:6379'] });
    const made = await Promise.all(['a', 'b', 'c'].map((id) => createIdentity(repository, 'orders', signs(id))));
    expect(new Set(made.map(({ id }) => id)).size).toBe(1);
    expect((await readIdentity(repository, 'orders'))?.id).toBe(made[0]?.id);
    expect(await readIdentity(repository, 'order')).toBeUndefined();
  });

  test('an identity grows by what its servers show, from several at once, and never changes its id', async () => {
    const first = await createIdentity(repository, 'orders', { replicationIds: ['a'.repeat(40)], addresses: ['h:1'] });
    const seen = ['b', 'c', 'd'].map((id) => ({ replicationIds: [id.repeat(40)], addresses: ['h:1'] }));
    await Promise.all(seen.map((signs) => extendIdentity(repository, 'orders', signs)));
    const grown = await readIdentity(repository, 'orders');
    expect(grown?.id).toBe(first.id);
    expect(grown?.replicationIds.map(([letter]) => letter).sort()).toEqual(['a', 'b', 'c', 'd']);
    const before = await keysBelow('identity/orders/');
    await extendIdentity(repository, 'orders', { replicationIds: ['b'.repeat(40)], addresses: ['h:1'] });
    expect(await keysBelow('identity/orders/')).toEqual(before);
  });

  test('a person’s word makes another server the instance, and the record says so', async () => {
    const { id } = await createIdentity(repository, 'orders', { replicationIds: ['a'.repeat(40)], addresses: ['h:1'] });
    const adopted = await adoptIdentity(repository, 'orders', { replicationIds: ['z'.repeat(40)], addresses: ['h:2'] });
    expect(adopted).toMatchObject({ id, change: 'adopted', addresses: ['h:2'] });
    expect(await readIdentity(repository, 'orders')).toEqual(adopted);
  });

  test('endless replication ids do not make an identity that cannot be read', async () => {
    const ids = (from: number) => Array.from({ length: 60 }, (_value, index) => `${from + index}`.padStart(40, '0'));
    await createIdentity(repository, 'orders', { replicationIds: ids(1), addresses: ['h:1'] });
    await extendIdentity(repository, 'orders', { replicationIds: ids(100), addresses: ['h:1'] });
    const identity = await readIdentity(repository, 'orders');
    expect(identity?.replicationIds).toHaveLength(64);
    expect(identity?.replicationIds.at(-1)).toBe('159'.padStart(40, '0'));
  });

  const only = async () => (await listBackups(repository, 'orders'))[0];

  const keysBelow = async (directory: string) =>
    (await Array.fromAsync(repository.list(directory))).map(({ key }) => key.slice(directory.length));
});

function proof(time: string, state: LaterProof['state'], reason?: string): LaterProof {
  return { formatVersion: 1, backupId: backupAt(1).backupId, time, state, reason, verifications: [] };
}
