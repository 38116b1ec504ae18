import { spawnSync } from 'node:child_process';
import { expect, inject, test } from 'vitest';
import { settingsFor, testPlace } from '../support/s3-repository.ts';

test.each([-1, 1])(
  'an agent whose clock is %i hour off stores all the same: it signs by the store’s clock',
  (hours) => {
    const minio = inject('minio');
    const settings = settingsFor(testPlace(minio), { encryption: { sse: 'none' } });
    const open = new URL('../../repository/open.ts', import.meta.url).href;
    // A clock that is off in this one process: its own idea of the time is all that signatures are made from.
    const script = `
    const off = ${hours} * 3_600_000;
    const RealDate = Date;
    globalThis.Date = class extends RealDate {
      constructor(...args) { super(...(args.length === 0 ? [RealDate.now() + off] : args)); }
      static now() { return RealDate.now() + off; }
    };
    const { openRepository } = await import(${JSON.stringify(open)});
    const repository = await openRepository(${JSON.stringify(settings)});
    const { sizeBytes } = await repository.putSmall('hourly/a', Buffer.from('x'));
    console.log(JSON.stringify({ sizeBytes, clock: new Date().toISOString() }));`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(stderr).toBe('');
    const { sizeBytes, clock } = JSON.parse(stdout);
    expect(sizeBytes).toBe(1);
    expect(Math.abs(Date.parse(clock) - Date.now())).toBeGreaterThan(3_500_000);
  },
);
