import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { RewindError } from '../errors/rewind-error.ts';
import type { StepIO } from '../process/step-io.ts';
import { download } from '../repository/download.ts';
import type { Repository } from '../repository/repository.ts';
import type { KeySelection } from './keys/key-selection.ts';
import type { RestoreRequest } from './restore-request.ts';

/**
 * Puts a list of keys, one a line, where every role can read it.
 *
 * @returns its name in the repository: the same list has the same name
 * @throws RESTORE_INPUT_INVALID where the file cannot be read
 */
export async function storeKeyList(repository: Repository, instance: string, path: string): Promise<string> {
  const size = (await stat(path).catch(() => undefined))?.size;
  if (size === undefined) throw new RewindError('RESTORE_INPUT_INVALID', `The list of keys ${path} cannot be read.`);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  const name = `restores/${instance}/key-lists/${hash.digest('hex')}.txt`;
  await repository.putFile(name, { path }, { sizeBytes: size });
  return name;
}

/** The selection with its list of keys on this machine's disk, in the restore's folder. */
export async function selectionHere(
  repository: Repository,
  folder: string,
  { selection }: Pick<RestoreRequest, 'selection'>,
  io: StepIO,
): Promise<KeySelection> {
  const { keyList, ...others } = selection;
  if (keyList === undefined) return others;
  const path = join(folder, basename(keyList));
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (!(await stat(path).catch(() => undefined))) {
    const sizeBytes = (await repository.stat(keyList))?.sizeBytes ?? 0;
    await download(repository, { key: keyList, sizeBytes }, path, io);
  }
  return { ...others, keyFile: path };
}
