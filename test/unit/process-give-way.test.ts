import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';

const autogroup = '/proc/self/autogroup';

/** What a process in a session of its own says after it has given way, and what a server says that it starts then. */
const program = `
  import { spawn } from 'node:child_process';
  import { readFileSync } from 'node:fs';
  import { giveWay } from ${JSON.stringify(new URL('../../process/give-way.ts', import.meta.url).href)};
  giveWay();
  process.stdout.write(readFileSync('${autogroup}', 'utf8'));
  spawn('cat', ['${autogroup}'], { detached: true, stdio: ['ignore', 'inherit', 'inherit'] });
`;

test.skipIf(!existsSync(autogroup))(
  'an agent steps back behind Redis, and a server that it starts does not (only where Linux groups by session)',
  async () => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const said = text(child.stdout);
    expect((await once(child, 'exit'))[0]).toBe(0);
    expect((await said).match(/nice (-?\d+)/g)).toEqual(['nice 7', 'nice 0']);
  },
);
