import { isAbsolute, normalize } from 'node:path';
import { INSTANCE_NAME } from '../config/schema.ts';
import { RewindError } from '../errors/rewind-error.ts';
import { timeOfBackupId } from '../repository/layout.ts';
import { momentAsked } from './restore-point.ts';

/** What happens to keys that are in the backup and live as well. `replace-all`: everything live goes first. */
export const CONFLICT_RULES = ['keep-live', 'take-backup', 'replace-all'] as const;
export type ConflictRule = (typeof CONFLICT_RULES)[number];

/** `keep`: expiries as they were; `shift`: later by the age of the backup; `drop`: none. */
export const TTL_RULES = ['keep', 'shift', 'drop'] as const;
export type TtlRule = (typeof TTL_RULES)[number];

export type RestoreInto =
  | { readonly kind: 'live' }
  | { readonly kind: 'sandbox' }
  | { readonly kind: 'instance'; readonly name: string }
  | { readonly kind: 'dir'; readonly path: string };

/** What a person or a program asks for, as it comes: from a command line, a Temporal UI, another workflow. */
export interface RestoreInput {
  readonly instance: string;
  readonly to?: string | number;
  readonly into?: string;
  readonly onConflict?: string;
  readonly match?: string;
  readonly db?: number;
  /** Name in the repository of a list of keys, as `rewind restore --key-file` puts it there. */
  readonly keyList?: string;
  readonly ttl?: string;
  readonly compare?: string;
  /** Of the archive; default: the newest one that holds the moment. */
  readonly timeline?: number;
}

/** The same, understood. */
export interface RestoreRequest {
  readonly instance: string;
  /** `latest`, `before-flush`, a backup's id; of the archive a time (ISO 8601) or a position. */
  readonly to: string;
  readonly timeline?: number;
  readonly into: RestoreInto;
  readonly onConflict: ConflictRule;
  readonly selection: { readonly match?: string; readonly db?: number; readonly keyList?: string };
  readonly ttl: TtlRule;
  /** When every key is compared: after the work, at a limited rate, or before anybody may write again. */
  readonly compare: 'after' | 'full-before-unfence';
}

/**
 * Reads what was asked for; what is left out is the choice that changes least: the newest proven backup, into a sandbox,
 * live keys kept.
 *
 * @throws RESTORE_INPUT_INVALID naming the field and what is accepted
 */
export function parseRestoreInput(input: RestoreInput): RestoreRequest {
  const { instance, match, db, keyList, timeline } = input;
  const to = parseTo(input.to ?? 'latest');
  if (timeline !== undefined && !(Number.isInteger(timeline) && timeline > 0)) {
    throw invalid('timeline', 'the number of a timeline, as rewind timeline prints it');
  }
  if (match !== undefined && (typeof match !== 'string' || match === ''))
    throw invalid('match', 'a pattern as of KEYS');
  if (db !== undefined && (!Number.isInteger(db) || db < 0)) throw invalid('db', 'the number of a database');
  if (keyList !== undefined && !(typeof keyList === 'string' && KEY_LIST.test(keyList))) {
    throw invalid('keyList', 'the name that rewind restore --key-file gave a list of keys in the repository');
  }
  return {
    instance,
    to,
    ...(timeline === undefined ? {} : { timeline }),
    into: parseInto(input.into ?? 'sandbox'),
    onConflict: oneOf('onConflict', CONFLICT_RULES, input.onConflict ?? 'keep-live'),
    selection: {
      ...(match === undefined ? {} : { match }),
      ...(db === undefined ? {} : { db }),
      ...(keyList === undefined ? {} : { keyList }),
    },
    ttl: oneOf('ttl', TTL_RULES, input.ttl ?? 'keep'),
    compare: oneOf('compare', ['after', 'full-before-unfence'] as const, input.compare ?? 'after'),
  };
}

/** `restores/<instance>/key-lists/<sha256>.txt`: names of keys belong into no history, and roles share no disk. */
const KEY_LIST = /^restores\/[a-z0-9._-]+\/key-lists\/[0-9a-f]{64}\.txt$/;

/** True where only some of the keys are meant. */
export function isPartial({ selection }: Pick<RestoreRequest, 'selection'>): boolean {
  return Object.keys(selection).length > 0;
}

/** As it was asked for, for a person to read. */
export function intoText(into: RestoreInto): string {
  if (into.kind === 'instance') return `instance:${into.name}`;
  return into.kind === 'dir' ? into.path : into.kind;
}

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A position may come as a number, a time as `5m ago` or in any zone; what comes out is exact. */
function parseTo(to: unknown): string {
  const accepted = 'latest, before-flush, the id of a backup, a time (ISO 8601 with a zone, or 5m ago) or a position';
  if (typeof to === 'number' && Number.isSafeInteger(to) && to >= 0) return String(to);
  if (typeof to !== 'string' || to === '') throw invalid('to', accepted);
  const [, count, unit] = /^(\d{1,9})\s*([smhd]) ago$/.exec(to) ?? [];
  if (count !== undefined) {
    return new Date(Date.now() - Number(count) * unitMs[unit as keyof typeof unitMs]).toISOString();
  }
  const asked = momentAsked(to);
  if ((asked && asked.kind !== 'time') || timeOfBackupId(to)) return to;
  const hasZone = /(?:Z|[+-]\d\d:?\d\d)$/i.test(to);
  if (!hasZone || Number.isNaN(Date.parse(to))) throw invalid('to', accepted);
  return new Date(to).toISOString();
}

function parseInto(into: unknown): RestoreInto {
  const accepted = 'live, sandbox, instance:NAME or an absolute path';
  if (typeof into !== 'string') throw invalid('into', accepted);
  if (into === 'live' || into === 'sandbox') return { kind: into };
  const [, name] = /^instance:(.+)$/.exec(into) ?? [];
  if (name !== undefined) {
    if (!INSTANCE_NAME.test(name)) throw invalid('into', accepted);
    return { kind: 'instance', name };
  }
  const path = into.replace(/\/+$/, '');
  if (isAbsolute(path) && normalize(path) === path) return { kind: 'dir', path };
  throw invalid('into', accepted);
}

function oneOf<T extends string>(field: string, accepted: readonly T[], value: unknown): T {
  if (accepted.includes(value as T)) return value as T;
  throw invalid(field, accepted.join(', '));
}

function invalid(field: string, accepted: string): RewindError {
  return new RewindError('RESTORE_INPUT_INVALID', `${field} is not usable; accepted: ${accepted}.`, {
    details: { field },
  });
}
