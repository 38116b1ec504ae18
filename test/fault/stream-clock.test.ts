import { join } from 'node:path';
import { expect, test } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { redisTimeMs } from '../../redis/info.ts';
import { archiveContext, chainedBytes, digestAt, latestDigest, readArchive, until } from '../support/archive.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { movingAddress } from '../support/moving-address.ts';
import { startRedis } from '../support/servers.ts';
import { stream } from '../support/stream.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const hourMs = 3_600_000;

test.each([
  ['back', -hourMs],
  ['forward', hourMs],
])(
  'the clock of Redis’ machine is set an hour %s: an event says so, no segment goes over it, and a time has one meaning',
  async (_, stepMs) => {
    await using folder = await temporaryFolder('stream-clock');
    const server = await startRedis({ config: { 'repl-diskless-sync-delay': '0', ...debugAllowed() } });
    // What its clock says is changed on the way: the machine's own clock is everybody's.
    let off = 0;
    const address = await movingAddress(server.port, {
      answers: (bytes) => {
        const text = bytes.toString('latin1');
        const set = text.replace(
          /server_time_usec:(\d+)/,
          (_all, usec) => `server_time_usec:${Number(usec) + off * 1_000}`,
        );
        return set === text ? bytes : Buffer.from(set, 'latin1');
      },
    });
    const context = await archiveContext(address, {
      home: join(folder.path, 'home'),
      repository: join(folder.path, 'store'),
    });
    const archive = () => readArchive(context.repository);
    const redis = await connectRedis({ url: server.url });
    const following = stream(context);
    const shipped = (text: string) =>
      until(`${text} is shipped`, async () =>
        (await archive()).segments.some(({ body }) => Buffer.from(body).includes(text)),
      );
    try {
      await until('the base', async () => (await archive()).bases.length > 0);
      await redis.set('before', '1');
      await shipped('before');
      const before = await dataDigest(server);
      const lastMs = (await archive()).segments.at(-1)!.header.lastMs;
      off = stepMs;
      await until('it is recorded', async () => (await archive()).events.length > 0);
      await redis.set('after', '1');
      await shipped('after');
      const after = (await redisTimeMs(redis)) + stepMs;
      const held = await archive();
      expect(held.events).toMatchObject([{ kind: 'clock' }]);
      const [{ position, timeMs, toMs = 0 }] = held.events as [(typeof held.events)[number]];
      expect(Math.abs(toMs - timeMs - stepMs)).toBeLessThan(60_000);
      for (const { header } of held.segments) expect(header.lastMs - header.firstMs).toBeLessThan(hourMs / 2);
      expect(held.timelines).toHaveLength(1);
      chainedBytes(held, 1);
      expect(await latestDigest(context)).toBe(await dataDigest(server));
      expect(await digestAt(context, { kind: 'position', position })).toBe(before);
      // Set back, that time is still to come: whoever names it now means all there is.
      if (stepMs > 0) expect(await digestAt(context, { kind: 'time', timeMs: lastMs })).toBe(before);
      expect(await digestAt(context, { kind: 'time', timeMs: after })).toBe(await dataDigest(server));
    } finally {
      redis.disconnect();
      await following.stop().catch(() => undefined);
      await address.stop();
      await server.stop();
    }
  },
);
