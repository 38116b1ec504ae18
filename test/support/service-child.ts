// An agent that starts its server and stays up. Arguments: ServiceSpec and ServiceSurroundings as JSON.
import { serviceOf } from '../../host/service.ts';

const [, , spec, around] = process.argv as [string, string, string, string];
const io = { signal: new AbortController().signal, onProgress: () => undefined };
await serviceOf(JSON.parse(spec), JSON.parse(around)).start(io);
setInterval(() => undefined, 60_000);
