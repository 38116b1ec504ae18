import * as z from 'zod';
import { checkDocument, type DocumentKind, invalidDocument, parseDocument } from './document.ts';
import { type BackupName, tiers, timeOfBackupId } from './layout.ts';

/** Raised only by a change that an older reader must not ignore. */
export const FORMAT_VERSION = 1;

/** Manifests are read back from a place that others may write to: everything in them is bounded. */
export const MANIFEST_BYTES = 1024 * 1024;
const CHECKS = 200;
const NAMES = 1_000;
const DATABASES = 16_384;

const word = z.string().min(1).max(128);
const sentence = z.string().max(4_096);
const count = z.int().nonnegative();
const time = z.iso.datetime();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const encryption = z.object({ sse: z.enum(['aws:kms', 'AES256', 'none']), kmsKeyId: z.string().max(2_048).optional() });

const checksum = z.object({
  algorithm: z.literal('CRC32'),
  value: z.string().max(64),
  type: z.enum(['FULL_OBJECT', 'COMPOSITE']),
});

/** One exact check and what it found. Figures are counts, sizes, digests and versions; never a key's name or value. */
export const verificationSchema = z.object({
  name: word,
  result: z.enum(['ok', 'contradicted', 'not-possible']),
  detail: sentence,
  figures: z.record(z.string().max(128), z.union([z.string().max(1_024), z.number()])).optional(),
  time,
});
export const verificationsSchema = z.array(verificationSchema).max(CHECKS);

/** Measured while it was proven, in milliseconds: what a restore by a load takes here. */
const proof = z.object({
  downloadMs: count,
  loadMs: count,
  server: z.object({ name: word, version: z.string().max(64) }),
});

const state = z.enum(['verified', 'unproven', 'failed']);

/** docs/FORMAT.md describes each field. Fields that are not known here are ignored. */
export const manifestSchema = z.object({
  formatVersion: z.literal(FORMAT_VERSION),
  instance: word,
  tier: z.enum(tiers),
  backupId: z
    .string()
    .max(64)
    .refine((id) => timeOfBackupId(id) !== undefined, 'is no backup id'),
  server: z.object({
    identity: z.uuid(),
    name: z.enum(['redis', 'valkey']),
    version: z.string().max(64),
    runId: z.string().max(64).optional(),
  }),
  rdb: z.object({ magic: z.enum(['REDIS', 'VALKEY']), version: count }),
  source: z.enum(['dump-file', 'replication']),
  save: z.object({ startedAt: time, endedAt: time }),
  replication: z.object({ id: z.string().max(64).optional(), offset: count.optional() }),
  dump: z.object({
    file: z.literal('dump.rdb'),
    sizeBytes: count,
    sha256,
    compression: z.literal('none'),
    encryption,
    /** Null: the store returned none, and only reading the bytes back has proven them. */
    storeChecksum: checksum.nullable(),
  }),
  /** Absent where it was switched off. */
  serverFile: z.object({ file: z.literal('server.json'), sizeBytes: count }).optional(),
  keys: z.object({
    total: count,
    withExpiry: count,
    byDatabase: z
      .record(z.string().regex(/^\d{1,5}$/), count)
      .refine((record) => Object.keys(record).length <= DATABASES, 'has too many databases'),
  }),
  functionLibraries: count,
  modules: z.array(word).max(NAMES),
  /** Made of the archive, as of there: no save of the server. */
  moment: z.object({ timeline: count, position: count }).optional(),
  state,
  reason: sentence.optional(),
  flagged: sentence.optional(),
  verifications: verificationsSchema,
  /** Absent where it was not loaded. */
  proof: proof.optional(),
});

export type Manifest = z.output<typeof manifestSchema>;
export type Verification = z.output<typeof verificationSchema>;

/** A proof made after the backup, stored beside its manifest. */
export const laterProofSchema = z.object({
  formatVersion: z.literal(FORMAT_VERSION),
  backupId: z.string().max(64),
  time,
  state,
  reason: sentence.optional(),
  verifications: verificationsSchema,
  proof: proof.optional(),
});
export type LaterProof = z.output<typeof laterProofSchema>;

const kind: DocumentKind = { code: 'MANIFEST_INVALID', newestVersion: FORMAT_VERSION };

/** As it is stored: JSON for people, too. @throws MANIFEST_INVALID for what no reader would take */
export function encodeDocument<T>(schema: z.ZodType<T>, document: T): Buffer {
  const bytes = Buffer.from(`${JSON.stringify(checkDocument(kind, schema, document, 'to be written'), null, 2)}\n`);
  if (bytes.length > MANIFEST_BYTES) throw invalidDocument(kind, 'to be written', `it has ${bytes.length} bytes`);
  return bytes;
}

/** @throws MANIFEST_INVALID, saying what is wrong with it but not quoting it */
export function decodeDocument<T>(schema: z.ZodType<T>, bytes: Buffer, key: string): T {
  return parseDocument(kind, schema, bytes, key);
}

/** @throws MANIFEST_INVALID when a manifest speaks of another backup than its place says */
export function assertManifestOf(name: BackupName, manifest: Manifest, key: string): void {
  const { instance, tier, backupId } = manifest;
  if (instance !== name.instance || tier !== name.tier || backupId !== name.backupId) {
    throw invalidDocument(kind, key, 'it is the manifest of another backup');
  }
}
