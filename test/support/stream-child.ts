// Streams a dump into a server, in a process that a test can kill. Argument: StreamRequest as JSON.
import { streamAsPrimary } from '../../restore/as-primary/stream-as-primary.ts';

const io = { signal: new AbortController().signal, onProgress: () => undefined };
await streamAsPrimary(JSON.parse(process.argv[2] as string), io);
