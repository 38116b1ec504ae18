// Starts a sandbox that stays up, and ends. Argument: SandboxRequest as JSON.
import { startSandbox } from '../../restore/files/started-sandbox.ts';

const io = { signal: new AbortController().signal, onProgress: () => undefined };
await startSandbox(JSON.parse(process.argv[2] as string), io);
