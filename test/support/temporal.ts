import { foundPart } from '../../process/found-parts.ts';
import { freePort } from '../../process/free-port.ts';
import { startTemporalDevServer } from '../../process/temporal-dev-server.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** A real Temporal dev server, with its SQLite file. */
export interface Temporal {
  readonly address: string;
  readonly namespace: string;
  readonly uiUrl: string;
  readonly pid: number;
  stop(): Promise<void>;
  kill9(): Promise<void>;
  /** Starts it again on the same ports and file. */
  restart(): Promise<void>;
}

/** Starts a Temporal of the test's own, for tests that end it; others take the suite's (`inject('temporal')`). */
export async function startTemporal(): Promise<Temporal> {
  const folder = await temporaryFolder('temporal');
  const [port, uiPort] = [await freePort(), await freePort()];
  const start = () =>
    startTemporalDevServer({
      executable: foundPart('temporal').path,
      folder: folder.path,
      port,
      uiPort,
      cleanup: [folder.path],
    });
  let server = await start();
  return {
    address: server.address,
    namespace: server.namespace,
    uiUrl: `http://127.0.0.1:${uiPort}`,
    get pid() {
      return server.program.pid;
    },
    stop: () => server.stop(),
    kill9: async () => {
      process.kill(server.program.pid, 'SIGKILL');
      await server.program.exited;
    },
    restart: async () => {
      await server.stop({ keepFolders: true });
      server = await start();
    },
  };
}
