import { join } from 'node:path';
import type { StepIO } from '../../process/step-io.ts';
import type { SandboxServer } from '../../sandbox/servers.ts';
import type { Diagnosis, FileDiagnosis, Readable, ServerWould } from './diagnosis.ts';
import { type FoundFile, type FoundFiles, findFiles, writesManyParts } from './found-files.ts';
import { notesOf } from './salvage-rdb.ts';
import { serverChecker } from './server-checker.ts';
import type { PersistenceSettings } from './settings.ts';
import { type AofSurvey, surveyAof } from './survey-aof.ts';
import { type RdbSurvey, surveyRdb } from './survey-rdb.ts';

const listedDamages = 100;
const listedSpans = 100;

export interface DiagnoseOptions {
  /** Asks its redis-check-rdb and redis-check-aof for a second opinion on each damaged file. */
  readonly server?: SandboxServer;
}

/**
 * Says of each file that the server would load from a folder whether it is whole, where it is not, what can be read
 * before and behind the damage, and what the server would do with it at a start. Only reads; no size in a file is
 * trusted. Made for a copy: read the original only while nothing writes to it.
 *
 * @throws RewindError RDB_READ_FAILED, AOF_READ_FAILED, RDB_CANCELLED, AOF_CANCELLED; damage is no error here
 */
export async function diagnoseFiles(
  dir: string,
  settings: PersistenceSettings,
  io: StepIO,
  options: DiagnoseOptions = {},
): Promise<Diagnosis> {
  const found = await findFiles(dir, settings);
  const files: FileDiagnosis[] = [];
  const data = found.files.filter(({ role }) => role !== 'manifest');
  for (const file of found.files) {
    if (file.role === 'manifest') files.push(diagnoseManifest(file, found));
    else files.push(await diagnoseFile(dir, file, file === data.at(-1), settings, options, io));
  }
  const dump: FoundFile | undefined = settings.appendonly
    ? (await findFiles(dir, { ...settings, appendonly: false })).files[0]
    : undefined;
  const besides = dump?.sizeBytes === undefined ? [] : [await diagnoseFile(dir, dump, true, settings, options, io)];
  const serverWould = overall(found, files);
  return {
    form: found.form,
    files,
    besides,
    damaged: files.some(({ state }) => state !== 'whole') || found.startsEmpty !== undefined,
    serverWould,
    text: inOneSentence(found, files, serverWould),
  };
}

function overall(found: FoundFiles, files: readonly FileDiagnosis[]): ServerWould {
  if (found.startsEmpty !== undefined) return 'start-empty';
  for (const would of ['refuse', 'cut'] as const) {
    if (files.some(({ serverWould }) => serverWould === would)) return would;
  }
  return 'load';
}

function inOneSentence({ startsEmpty }: FoundFiles, files: readonly FileDiagnosis[], would: ServerWould): string {
  const which = files.find(({ serverWould }) => serverWould === would);
  const where = which?.damage === undefined || which.damage.offset < 0 ? '' : ` at byte ${which.damage.offset}`;
  if (would === 'start-empty') return `A start would begin with no data at all: ${startsEmpty}.`;
  if (would === 'load') return 'A start would load the files.';
  if (would === 'refuse') {
    return which?.state === 'missing'
      ? `The server would not start: ${which.path} is not there.`
      : `The server would not start: ${which?.path} is damaged${where}.`;
  }
  const behind = which?.after.commands ?? 0;
  const loss = behind > 0 ? `, and with it ${behind} commands that can still be read` : '';
  return `A start would cut ${which?.path} off at byte ${which?.cutAt}${loss}: copy it before any start.`;
}

function diagnoseManifest(file: FoundFile, found: FoundFiles): FileDiagnosis {
  const error = found.manifestError;
  const damage =
    error === undefined
      ? undefined
      : { offset: Number(error.details.offset ?? 0), code: error.code, what: error.message };
  const missing = file.sizeBytes === undefined;
  return {
    ...placeOf(file),
    state: missing ? 'missing' : damage === undefined ? 'whole' : 'damaged',
    ...(damage === undefined ? {} : { damage }),
    damages: damage === undefined ? [] : [damage],
    before: {},
    after: {},
    lost: [],
    serverWould: missing ? 'start-empty' : damage === undefined ? 'load' : 'refuse',
    notes: [],
  };
}

async function diagnoseFile(
  dir: string,
  file: FoundFile,
  last: boolean,
  settings: PersistenceSettings,
  options: DiagnoseOptions,
  io: StepIO,
): Promise<FileDiagnosis> {
  if (file.sizeBytes === undefined) {
    const serverWould = file.role === 'dump' || file.role === 'single' ? 'start-empty' : 'refuse';
    return { ...placeOf(file), state: 'missing', damages: [], before: {}, after: {}, lost: [], serverWould, notes: [] };
  }
  const path = join(dir, file.path);
  const told = { ...io, onProgress: (progress: object) => io.onProgress({ ...progress, note: file.path }) };
  const survey = file.role === 'dump' ? await surveyRdb(path, settings, told) : await surveyAof(path, settings, told);
  const diagnosis = 'form' in survey ? ofDump(file, survey, settings) : ofAppendOnly(file, survey, last, settings);
  if (diagnosis.state === 'whole' || options.server === undefined) return diagnosis;
  // redis-check-aof of 7.0 and newer checks the files of a manifest one by one, too.
  const kind = file.role === 'dump' || ('preamble' in survey && survey.preamble !== undefined && file.role === 'base');
  const checker = await serverChecker(options.server, kind ? 'rdb' : 'aof', path, io.signal);
  return checker === undefined ? diagnosis : { ...diagnosis, checker };
}

function ofDump(file: FoundFile, survey: RdbSurvey, settings: PersistenceSettings): FileDiagnosis {
  return {
    ...placeOf(file),
    ...damageOf(survey.damages),
    before: { keys: survey.keysBefore },
    after: { keys: survey.keysAfter },
    lost: survey.lost.slice(0, listedSpans),
    ...dumpFacts(survey),
    serverWould: dumpIsLoaded(survey, settings) ? 'load' : 'refuse',
    notes: notesOf(survey),
  };
}

/** The server passes bytes that follow, and a wrong checksum where it is told not to look. */
function dumpIsLoaded({ damages, sizeBytes }: RdbSurvey, settings: PersistenceSettings): boolean {
  const passed = settings.rdbChecksum === false ? ['RDB_TRAILING_BYTES', 'RDB_CHECKSUM_WRONG'] : ['RDB_TRAILING_BYTES'];
  return sizeBytes > 0 && damages.every(({ code }) => passed.includes(code));
}

function ofAppendOnly(file: FoundFile, survey: AofSurvey, last: boolean, settings: PersistenceSettings): FileDiagnosis {
  const { preamble } = survey;
  const keys = preamble === undefined ? {} : { keys: preamble.keysBefore };
  const keysAfter = preamble === undefined || preamble.keysAfter === 0 ? {} : { keys: preamble.keysAfter };
  return {
    ...placeOf(file),
    ...damageOf(survey.damages),
    before: { ...keys, commands: survey.commandsBefore, ...secondOf(survey.newestBefore) },
    after: { ...keysAfter, commands: survey.commandsAfter, ...secondOf(survey.newestAfter) },
    lost: survey.lost.slice(0, listedSpans),
    ...(preamble === undefined ? {} : dumpFacts(preamble)),
    cutAt: survey.cut,
    serverWould: appendOnlyIs(survey, last, settings),
    notes: notesOfAppendOnly(survey, file, settings),
  };
}

function appendOnlyIs(survey: AofSurvey, last: boolean, settings: PersistenceSettings): ServerWould {
  const { preamble } = survey;
  if (preamble !== undefined && (preamble.end === undefined || !dumpIsLoaded(preamble, settings))) return 'refuse';
  if (survey.damages.length === 0) return 'load';
  return survey.looksCutOff && last && settings.aofLoadTruncated !== false ? 'cut' : 'refuse';
}

function notesOfAppendOnly(survey: AofSurvey, file: FoundFile, settings: PersistenceSettings): string[] {
  const notes = survey.preamble === undefined ? [] : notesOf(survey.preamble);
  if (survey.damages.length === 0) return notes;
  notes.push('Append-only files have no checksum: a value that was changed in place is not noticed.');
  if (survey.databaseGuessed) {
    notes.push('The database of the commands behind the damage is that before it; a SELECT may be among what is lost.');
  }
  if (file.role === 'single' && writesManyParts(settings) === true) {
    notes.push('It is the single file of a server before 7.0, which this server takes over as its base.');
  }
  return notes;
}

function damageOf(damages: FileDiagnosis['damages']): Pick<FileDiagnosis, 'state' | 'damage' | 'damages'> {
  const [damage] = damages;
  if (damage === undefined) return { state: 'whole', damages: [] };
  return { state: 'damaged', damage, damages: damages.slice(0, listedDamages) };
}

function dumpFacts({ keysExpected, aux, crc }: RdbSurvey): Partial<FileDiagnosis> {
  const ctime = Number(aux.ctime);
  const plausible = Number.isFinite(ctime) && ctime > 0 && ctime < 1e11;
  return {
    ...(keysExpected === undefined ? {} : { keysExpected }),
    ...(plausible ? { savedAt: new Date(ctime * 1000).toISOString() } : {}),
    checksum: crc,
  };
}

function secondOf(seconds: number | undefined): Pick<Readable, 'newest'> {
  return seconds === undefined || seconds > 1e11 ? {} : { newest: new Date(seconds * 1000).toISOString() };
}

function placeOf({ path, role, sizeBytes, modifiedAtMs }: FoundFile) {
  return {
    path,
    role,
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    ...(modifiedAtMs === undefined ? {} : { modifiedAt: new Date(modifiedAtMs).toISOString() }),
  };
}
