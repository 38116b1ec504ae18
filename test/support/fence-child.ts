import { fenceWrites } from '../../fence/fence-writes.ts';
import { unfenceWrites } from '../../fence/unfence-writes.ts';
import { openRepository } from '../../repository/open.ts';

/** Fences or unfences, and is killed -9 right after the step that it is told. */
const [action, url = '', repositoryUrl = '', instance = '', fenceId = '', home = '', lastPhase] = process.argv.slice(2);
const order = { repository: await openRepository({ url: repositoryUrl }), instance, fenceId, home };
const io = {
  signal: new AbortController().signal,
  onProgress: ({ phase }: { phase?: string }) => {
    if (phase === lastPhase) process.kill(process.pid, 'SIGKILL');
  },
};
await (action === 'fence' ? fenceWrites : unfenceWrites)({ url }, order, io);
