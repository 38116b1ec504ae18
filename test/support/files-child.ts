// Places or replaces files, in a process that can be killed. Arguments: `place`, `replace` or `put-back`, and the request as
// JSON. With KILL_AT=n it kills itself, as by kill -9, before the n-th change that it makes to the file system.
import { promises } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const killAt = Number(process.env.KILL_AT ?? 0);
let changes = 0;
for (const name of ['rename', 'unlink', 'rmdir', 'mkdir', 'rm', 'link', 'open'] as const) {
  const original = promises[name] as (...args: unknown[]) => unknown;
  Object.assign(promises, {
    [name]: (...args: unknown[]) => {
      const isRead = name === 'open' && args[1] === 'r';
      if (!isRead && ++changes === killAt) process.kill(process.pid, 'SIGKILL');
      return original(...args);
    },
  });
}
syncBuiltinESMExports();

// Only now, so that they take the functions above.
const { placeFiles } = await import('../../restore/files/place-files.ts');
const { putBack, replaceServerFiles } = await import('../../restore/files/replace-files.ts');

const io = { signal: new AbortController().signal, onProgress: () => undefined };
const isRunning = async () => false;
const [, , what, argument] = process.argv;
const request = JSON.parse(argument as string);
if (what === 'place') await placeFiles(request, io);
else if (what === 'replace') await replaceServerFiles({ ...request, isRunning }, io);
else await putBack(request.dir, isRunning);
