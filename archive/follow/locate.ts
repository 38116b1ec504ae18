import { access } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkIdentity } from '../../backup/identity-check.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import { type AofPlace, rememberedPlace } from './aof-place.ts';
import type { Course } from './course.ts';
import type { PatientStore } from './patient-store.ts';
import { replicationIdsOf } from './questions.ts';
import type { ServerSigns, ServerWatch } from './server-watch.ts';
import type { Telling } from './telling.ts';

const isThere = [() => true, () => false] as const;

/**
 * Where the server's files are, and whose they are: by what it says, and where it does not answer by what the last follower
 * with this home knew.
 *
 * @returns undefined where nobody knows, and only the tail is meant
 * @throws ARCHIVE_NOT_POSSIBLE, IDENTITY_REFUSED, REDIS_REFUSED_LOGIN
 */
export async function locate(
  { context, io, options, tailOnly }: Pick<Course, 'context' | 'io' | 'options' | 'tailOnly'>,
  { server, store, telling }: { server: ServerWatch; store: PatientStore; telling: Telling },
): Promise<(Pick<Course, 'place' | 'knownHere'> & { signs?: ServerSigns }) | undefined> {
  for (;;) {
    const found = await server.place();
    const signs = found && (await server.ask());
    const remembered = await rememberedPlace(context.home, context.policy.instance);
    if (signs && found) {
      if (!remembered && !(await access(found.redisDir).then(...isThere))) {
        throw new RewindError(
          'ARCHIVE_NOT_POSSIBLE',
          `Redis keeps its files in ${found.redisDir}, which is not on this machine or not readable here.`,
        );
      }
      const identity = await store.until(() => checkIdentity(context, replicationIdsOf(signs)));
      const { runId, replicationId } = signs;
      const place: AofPlace = { formatVersion: 1, runId, replicationId, ...remembered, ...found, identity };
      return { place, signs, knownHere: remembered?.redisDir === found.redisDir };
    }
    if (remembered) return { place: remembered, knownHere: true };
    if (tailOnly) return undefined;
    telling.say('waiting', 'Redis does not answer, and nobody here has followed it before');
    await sleep(options.askMs, undefined, { signal: io.signal });
  }
}
