import { RewindError } from '../../errors/rewind-error.ts';
import { checkDocument, type DocumentKind, invalidDocument, parseDocument } from '../../repository/document.ts';
import { newBackupId, timeOfBackupId } from '../../repository/layout.ts';
import { mapBounded } from '../../repository/map-bounded.ts';
import type { Repository } from '../../repository/repository.ts';
import { type IncidentReport, incidentReportSchema, REPORT_BYTES, REPORT_FORMAT } from './incident-report.ts';
import { renderMarkdown } from './markdown.ts';

const kind: DocumentKind = { code: 'INCIDENT_REPORT_INVALID', newestVersion: REPORT_FORMAT };

/** `incidents/<instance>/`, or of all instances. */
export const incidentsDirectory = (instance?: string): string =>
  instance === undefined ? 'incidents/' : `incidents/${instance}/`;

/** `incidents/<instance>/<time>-<id>/`: the report and the files that it names. */
export const incidentDirectory = (instance: string, id: string): string => `${incidentsDirectory(instance)}${id}/`;

/**
 * An incident's id. The same start and run give the same one, so that a step that is done again finds its own folder.
 *
 * @param nonce what no other incident has: the workflow's run id
 */
export function incidentId(startedAt: Date, nonce: string): string {
  return newBackupId(startedAt, nonce);
}

/** Where a report is. */
export interface StoredReport {
  readonly report: string;
  readonly markdown: string;
}

/**
 * Stores a report as Markdown and, last, as JSON. The same report again is success; nothing is ever overwritten: what
 * becomes known later is the next revision.
 *
 * @throws OBJECT_EXISTS when another report of that revision is there; INCIDENT_REPORT_INVALID, STORE_*
 */
export async function storeReport(repository: Repository, report: IncidentReport): Promise<StoredReport> {
  const place = incidentDirectory(report.instance, report.id);
  const names = {
    markdown: `${place}${fileName(report.revision, 'md')}`,
    report: `${place}${fileName(report.revision, 'json')}`,
  };
  const checked = checkDocument(kind, incidentReportSchema, report, names.report);
  const json = Buffer.from(`${JSON.stringify(checked, null, 2)}\n`);
  if (json.length > REPORT_BYTES) throw invalidDocument(kind, names.report, `it has ${json.length} bytes`);
  await repository.putSmall(names.markdown, Buffer.from(renderMarkdown(checked)));
  await repository.putSmall(names.report, json);
  return names;
}

/** @throws OBJECT_MISSING, INCIDENT_REPORT_INVALID */
export async function readReport(repository: Repository, key: string): Promise<IncidentReport> {
  const report = parseDocument(kind, incidentReportSchema, await repository.readSmall(key, REPORT_BYTES), key);
  const [, instance, id] = key.split('/');
  if (report.instance !== instance || report.id !== id)
    throw invalidDocument(kind, key, 'it is the report of another incident');
  return report;
}

/** An incident in a list. */
export interface ListedIncident extends StoredReport {
  readonly instance: string;
  readonly id: string;
  /** ISO 8601, to the second. */
  readonly startedAt: string;
  readonly revision: number;
  /** Absent where the report cannot be read. */
  readonly content?: Pick<IncidentReport, 'kind' | 'outcome' | 'summary' | 'endedAt' | 'workflowId'>;
  readonly reason?: string;
}

const AT_ONCE = 16;
const REPORT_KEY = /^incidents\/([^/]+)\/([^/]+)\/report(?:-(\d{1,2}))?\.json$/;

/** The incidents of an instance, or of all, newest first, each by its latest revision. One that cannot be read is listed too. */
export async function listIncidents(repository: Repository, instance?: string): Promise<ListedIncident[]> {
  const latest = new Map<string, { instance: string; id: string; revision: number }>();
  for await (const { key } of repository.list(incidentsDirectory(instance))) {
    const [, owner, id, number] = REPORT_KEY.exec(key) ?? [];
    if (owner === undefined || id === undefined || !timeOfBackupId(id)) continue;
    const revision = Number(number ?? 1);
    const known = latest.get(`${owner}/${id}`);
    if (!known || known.revision < revision) latest.set(`${owner}/${id}`, { instance: owner, id, revision });
  }
  const listed = await mapBounded([...latest.values()], AT_ONCE, (each) => readListed(repository, each));
  return listed.sort((a, b) => (a.id < b.id ? 1 : -1));
}

async function readListed(
  repository: Repository,
  { instance, id, revision }: { instance: string; id: string; revision: number },
): Promise<ListedIncident> {
  const place = incidentDirectory(instance, id);
  const common = {
    instance,
    id,
    revision,
    startedAt: (timeOfBackupId(id) as Date).toISOString(),
    report: `${place}${fileName(revision, 'json')}`,
    markdown: `${place}${fileName(revision, 'md')}`,
  };
  try {
    const { kind, outcome, summary, endedAt, workflowId } = await readReport(repository, common.report);
    return { ...common, content: { kind, outcome, summary, endedAt, ...(workflowId ? { workflowId } : {}) } };
  } catch (error) {
    if (!(error instanceof RewindError) || !unreadable.has(error.code)) throw error;
    return { ...common, reason: error.message };
  }
}

const unreadable = new Set<string>(['INCIDENT_REPORT_INVALID', 'OBJECT_TOO_LARGE', 'OBJECT_MISSING', 'OBJECT_DIFFERS']);

const fileName = (revision: number, kind: 'json' | 'md'): string =>
  `report${revision === 1 ? '' : `-${revision}`}.${kind}`;
