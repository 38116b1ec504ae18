import { archiveContext } from './archive.ts';
import { watchLosses } from './loss.ts';

// Watches in a process of its own, to be killed while it tells of a loss. Arguments: the server's url, home, repository.
const [url = '', home = '', repository = ''] = process.argv.slice(2);
const context = await archiveContext({ url }, { home, repository });
const watching = watchLosses(context, {
  tell: (loss) => {
    process.send?.({ telling: loss.id });
    return new Promise(() => undefined);
  },
});
await watching.looked();
process.send?.({ watching: true });
