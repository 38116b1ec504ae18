import * as z from 'zod';
import { timeOfBackupId } from '../../repository/layout.ts';

/** Raised only by a change that an older reader must not ignore. */
export const REPORT_FORMAT = 1;

/** Reports are read back from a place that others may write to: everything in them is bounded. */
export const REPORT_BYTES = 1024 * 1024;

const word = z.string().min(1).max(256);
const sentence = z.string().max(4_096);
const sentences = z.array(sentence).max(500);
const count = z.int().nonnegative();
const time = z.iso.datetime();

export const incidentKinds = ['node-crash', 'data-corruption', 'accidental-flush', 'restore'] as const;
export const incidentOutcomes = [
  'recovered',
  'recovered-in-part',
  'nothing-to-do',
  'rejected',
  'timed-out',
  'aborted',
  'cancelled',
  'failed',
] as const;

/** One step as it went. */
const step = z.object({
  /** As the activity is called. */
  name: word,
  /** What it did, for a person. */
  text: sentence.optional(),
  startedAt: time,
  endedAt: time.optional(),
  result: z.enum(['done', 'failed', 'skipped', 'running']),
  detail: sentence.optional(),
});

/** Who answered a gate or a parked step. */
const answer = z.object({
  kind: word,
  /** False: it was refused (no gate was open, its plan was stale, …). */
  accepted: z.boolean(),
  /** As they say themselves: a claim. */
  approver: word.optional(),
  /** As Temporal recorded it beside the answer. */
  identity: z.string().max(1_024).optional(),
  choice: word.optional(),
  reason: sentence.optional(),
  /** False: the answer named no plan, and was counted for the one that was open. */
  planNamed: z.boolean().optional(),
  eventId: z.string().max(64).optional(),
});

/** One thing that happened at a gate, in the form in which a run records it. */
const decision = z.object({
  at: time,
  /** shown, answered, approved, rejected, timed-out, reminded, parked, retried, skipped, aborted, … */
  what: word,
  gate: word.optional(),
  /** Digest of the plan that was shown. */
  plan: z.string().max(128).optional(),
  message: sentence,
  answer: answer.optional(),
});

const comparison = z.object({
  name: word,
  result: z.enum(['equal', 'different', 'not-possible']),
  detail: sentence,
  at: time.optional(),
  keysCompared: count.optional(),
  keysDifferent: count.optional(),
  /** Object in the repository with the names of keys, which stand nowhere else. */
  file: z.string().max(1_024).optional(),
});

/**
 * What an incident was and what was done, for a post-mortem. No values of keys; names of keys only as counts, or in the
 * files that it names.
 */
export const incidentReportSchema = z.object({
  formatVersion: z.literal(REPORT_FORMAT),
  /** As the folder is called: time of the start and a digest. */
  id: z
    .string()
    .max(64)
    .refine((id) => timeOfBackupId(id) !== undefined, 'is no id of an incident'),
  /** 1; each later one adds what became known after the one before (a full comparison). */
  revision: z.int().min(1).max(99),
  instance: word,
  kind: z.enum(incidentKinds),
  workflowId: word.optional(),
  runId: word.optional(),
  outcome: z.enum(incidentOutcomes),
  /** One or two sentences: what happened, what was done. */
  summary: sentence,
  startedAt: time,
  endedAt: time,
  /** The backup that was restored from. */
  backup: word.optional(),
  steps: z.array(step).max(500),
  found: sentences,
  /** The window of loss. */
  loss: z.object({
    from: time.optional(),
    to: time.optional(),
    sentence: sentence.optional(),
    /** What is gone, one sentence each. */
    lost: sentences,
    unknown: sentences,
  }),
  decisions: z.array(decision).max(500),
  figures: z.object({
    keysRestored: count.optional(),
    keysKept: count.optional(),
    keysReplaced: count.optional(),
    keysExpired: count.optional(),
    keysBefore: count.optional(),
    keysAfter: count.optional(),
    bytes: count.optional(),
    /** From the start of the workflow until the instance was in use again, in seconds. */
    downSeconds: z.number().nonnegative().optional(),
    restoreSeconds: z.number().nonnegative().optional(),
    waitedForPeopleSeconds: z.number().nonnegative().optional(),
    fencedSeconds: z.number().nonnegative().optional(),
    /** Anything else that was measured, under its name with its unit. */
    more: z.record(z.string().max(64), z.union([z.number(), z.string().max(256)])).optional(),
  }),
  comparisons: z.array(comparison).max(50),
  files: z.array(z.object({ what: sentence, key: z.string().max(1_024) })).max(100),
  /** What somebody still has to do or to find out. */
  openPoints: sentences,
});

export type IncidentReport = z.output<typeof incidentReportSchema>;
