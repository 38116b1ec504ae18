import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, isFree } from '../../process/free-port.ts';

const names = ['temporal', 'temporalUi', 'demoRedis'] as const;

/** Ports of the embedded parts, the same at every start as long as they are free, so that addresses can be kept. */
export type EmbeddedPorts = Readonly<Record<(typeof names)[number], number>>;

export async function embeddedPorts(home: string): Promise<EmbeddedPorts> {
  const path = join(home, 'ports.json');
  const before: Partial<EmbeddedPorts> = await readFile(path, 'utf8')
    .then(JSON.parse)
    .catch(() => ({}));
  const ports = {} as Record<(typeof names)[number], number>;
  for (const name of names) {
    const kept = before[name];
    ports[name] = kept !== undefined && (await isFree(kept)) ? kept : await freePort();
  }
  await writeFile(path, `${JSON.stringify(ports)}\n`);
  return ports;
}
