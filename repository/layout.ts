import { createHash } from 'node:crypto';
import type { Tier } from '../policy/tier.ts';

export type { Tier };

/** Directories of their own, so that lifecycle rules by prefix work. */
export const tiers = ['hourly', 'daily', 'weekly', 'monthly'] as const satisfies readonly Tier[];

/** What a backup's place in the repository is made of. */
export interface BackupName {
  readonly instance: string;
  readonly tier: Tier;
  readonly backupId: string;
}

/** The files of a backup. The manifest is written last: without one it is not a backup. */
export type BackupFile = 'dump.rdb' | 'server.json' | 'manifest.json';

/** Names under which uploads in parts can be open; some stores list open uploads only by their exact name. */
export const uploadedInParts: readonly BackupFile[] = ['dump.rdb'];

const BACKUP_ID = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-[0-9a-f]{6,16}$/;

/** `20261123T205000Z`: sorts by time, and is safe in every path. */
export function utcTime(at: Date): string {
  return at.toISOString().replace(/[-:]/g, '').replace(/\.\d+/, '');
}

/**
 * `20261123T205000Z-1f3a9c04`.
 *
 * @param nonce any text that no other backup has; the same one gives the same id
 */
export function newBackupId(at: Date, nonce: string): string {
  return `${utcTime(at)}-${createHash('sha256').update(nonce).digest('hex').slice(0, 8)}`;
}

/** The time in a backup's id; undefined for what is none. */
export function timeOfBackupId(id: string): Date | undefined {
  const [, year, month, day, hour, minute, second] = BACKUP_ID.exec(id) ?? [];
  if (year === undefined) return undefined;
  const at = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(at.getTime()) ? undefined : at;
}

/** `<tier>/<instance>/` */
export const tierDirectory = (tier: Tier, instance: string): string => `${tier}/${instance}/`;

/** `<tier>/<instance>/<backup id>/` */
export const backupDirectory = (name: BackupName): string =>
  `${tierDirectory(name.tier, name.instance)}${name.backupId}/`;

export const backupObject = (name: BackupName, file: BackupFile): string => `${backupDirectory(name)}${file}`;

/** `failed/<tier>/<instance>/<backup id>/`: what a check contradicted; never restored from. */
export const failedDirectory = (name: BackupName): string => `failed/${backupDirectory(name)}`;

/** `<backup's directory>verifications/`: later proofs, one object each, because no name is overwritten. */
export const verificationsDirectory = (name: BackupName): string => `${backupDirectory(name)}verifications/`;

/** `identity/<instance>/`: numbered versions of who the instance is. */
export const identityDirectory = (instance: string): string => `identity/${instance}/`;

/** A key below a tier's directory of an instance, taken apart; undefined for what no backup wrote. */
export function parseBackupKey(
  key: string,
  tier: Tier,
  instance: string,
  failed = false,
): { name: BackupName; file: string } | undefined {
  const directory = `${failed ? 'failed/' : ''}${tierDirectory(tier, instance)}`;
  if (!key.startsWith(directory)) return undefined;
  const [backupId, ...file] = key.slice(directory.length).split('/');
  if (backupId === undefined || file.length === 0 || !timeOfBackupId(backupId)) return undefined;
  return { name: { instance, tier, backupId }, file: file.join('/') };
}
