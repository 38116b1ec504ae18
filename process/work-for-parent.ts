import { flushCompileCache } from 'node:module';
import { RewindError } from '../errors/rewind-error.ts';
import type { LastWord } from './work-process.ts';

/**
 * In a process that `startWork` started: does the work, tells its last word, and ends. It ends without its parent, too.
 *
 * @param begin is given what tells the parent news; the orders are the script's own to listen for, from the first moment on
 * @param known an error that is no RewindError, and no fault of this process either
 */
export async function workForParent<News extends object, Done>(
  begin: (tell: (news: News) => Promise<void>) => Promise<Done>,
  known: (error: unknown) => RewindError | undefined = () => undefined,
): Promise<never> {
  const send = (news: News | LastWord<Done>) =>
    new Promise<void>((resolve) => process.send!(news, undefined, undefined, () => resolve()));
  process.on('disconnect', () => process.exit(1));
  // Now, because the parent ends this process when it has the result. Without NODE_COMPILE_CACHE it does nothing.
  flushCompileCache();
  try {
    await send({ done: await begin(send) });
  } catch (error) {
    const told = error instanceof RewindError ? error : known(error);
    if (told === undefined) throw error;
    const { code, message, safe, next, details } = told;
    await send({ failed: { code, message, safe, next, details } });
  }
  process.exit(0);
}
