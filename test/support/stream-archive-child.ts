import { archiveContext } from './archive.ts';
import { stream } from './stream.ts';

// Archives a replication stream in a process of its own, to be killed. Arguments: the server's url, the home, the store's folder.
const [url = '', home = '', repository = ''] = process.argv.slice(2);
const following = stream(await archiveContext({ url }, { home, repository }), { segmentBytes: 20_000, segmentMs: 50 });
let told = '';
setInterval(() => {
  const state = following.figures()?.state ?? '';
  if (state !== told) process.send?.({ state });
  told = state;
}, 5);
await following.ended.catch((error: Error) => {
  process.send?.({ error: String(error) });
  process.exitCode = 1;
});
