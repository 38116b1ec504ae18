import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';

const autogroup = '/proc/self/autogroup';

/** What a process in a session of its own says while it gives way, what a server says that it starts then, and afterwards. */
const program = `
  import { spawn } from 'node:child_process';
  import { once } from 'node:events';
  import { readFileSync } from 'node:fs';
  import { setTimeout as sleep } from 'node:timers/promises';
  import { givingWay } from ${JSON.stringify(new URL('../../process/give-way.ts', import.meta.url).href)};
  const say = (text) => process.stdout.write(text);
  const level = () => readFileSync('${autogroup}', 'utf8');
  await givingWay(async () => {
    await givingWay(async () => undefined);
    say(level());
    const server = spawn('cat', ['${autogroup}'], { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
    server.stdout.pipe(process.stdout, { end: false });
    await once(server, 'close');
  });
  while (!level().includes('nice 0')) await sleep(20);
  say(level());
`;

test.skipIf(!existsSync(autogroup))(
  'an agent steps back behind Redis while it works, and a server that it starts then does not (only where Linux groups by session)',
  async () => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const said = text(child.stdout);
    expect((await once(child, 'exit'))[0]).toBe(0);
    expect((await said).match(/nice (-?\d+)/g)).toEqual(['nice 7', 'nice 0', 'nice 0']);
  },
);
