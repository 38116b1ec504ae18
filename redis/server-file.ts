import * as z from 'zod';
import { type DocumentKind, parseDocument } from '../repository/document.ts';
import type { Repository } from '../repository/repository.ts';
import type { ServerDescription } from './server-description.ts';

/** Settings and users; no server has more of them than this, in bytes. */
export const SERVER_FILE_BYTES = 4 * 1024 * 1024;

const text = z.string();
const schema: z.ZodType<ServerDescription> = z.object({
  formatVersion: z.literal(1),
  server: z.object({ name: z.enum(['redis', 'valkey']), version: text }),
  modules: z.array(z.object({ name: text, version: z.number() })),
  functions: z.array(z.object({ name: text, engine: text, functions: z.array(text) })).optional(),
  acl: z.array(text).optional(),
  configurationIs: z.enum(['changed-from-default', 'all']),
  configuration: z.record(text, text),
  withheld: z.array(text),
  unreadable: z.array(z.object({ what: text, reason: text })),
});

const kind: DocumentKind = { code: 'MANIFEST_INVALID', newestVersion: 1 };

/**
 * What a backup says of its server, from the `server.json` beside its dump.
 *
 * @throws MANIFEST_INVALID where it is no description; those of the repository
 */
export async function readServerFile(repository: Repository, key: string): Promise<ServerDescription> {
  return parseDocument(kind, schema, await repository.readSmall(key, SERVER_FILE_BYTES), key);
}
