import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { lastLogLines, reasonIn } from '../../host/log-words.ts';
import { readStartConfig } from '../../host/start-config.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

test('what a server will start with: redis.conf, what it includes, then arguments; the last word wins', async () => {
  await using folder = await temporaryFolder('conf');
  await mkdir(join(folder.path, 'conf.d'));
  await writeFile(
    join(folder.path, 'redis.conf'),
    [
      '# appendonly yes',
      'appendonly no',
      `dir "${folder.path}/da ta"`,
      "dbfilename 'my dump.rdb'",
      'save 3600 1',
      `include ${folder.path}/conf.d/*.conf`,
      'include /not/there/*.conf',
    ].join('\n'),
  );
  await writeFile(join(folder.path, 'conf.d', 'a.conf'), 'APPENDONLY yes\nappenddirname aofs\nlogfile redis.log\n');
  const configFile = join(folder.path, 'redis.conf');
  const expected = {
    dir: join(folder.path, 'da ta'),
    dbfilename: 'my dump.rdb',
    appendonly: true,
    appendfilename: 'appendonly.aof',
    appenddirname: 'aofs',
    appendfsync: 'everysec',
    logfile: join(folder.path, 'da ta', 'redis.log'),
  };
  expect(await readStartConfig({ configFile })).toEqual(expected);
  const args = [configFile, '--appendonly', 'no', '--save', '', '--appendfilename', 'other.aof'];
  expect(await readStartConfig({ args })).toEqual({ ...expected, appendonly: false, appendfilename: 'other.aof' });
  const careful = await readStartConfig({ args: [configFile, '--appendfsync', 'always'] });
  expect(careful).toEqual({ ...expected, appendfsync: 'always' });
});

test('without any configuration it is the defaults, in the folder where it is started', async () => {
  expect(await readStartConfig({ args: ['--port', '6380'], cwd: '/srv' })).toEqual({
    dir: '/srv',
    dbfilename: 'dump.rdb',
    appendonly: false,
    appendfilename: 'appendonly.aof',
    appenddirname: 'appendonlydir',
    appendfsync: 'everysec',
  });
});

test('a file that includes itself ends', async () => {
  await using folder = await temporaryFolder('conf');
  const configFile = join(folder.path, 'redis.conf');
  await writeFile(configFile, `appendonly yes\ninclude ${configFile}\n`);
  expect((await readStartConfig({ configFile })).appendonly).toBe(true);
});

test('the words of a log say why, without names of keys and without what is no reason', async () => {
  await using folder = await temporaryFolder('log');
  const log = join(folder.path, 'redis.log');
  await writeFile(
    log,
    [
      '1:M 24 Nov 2026 18:44:45.000 # an older start failed',
      '',
      '1:M 24 Nov 2026 18:44:45.000 # WARNING Memory overcommit must be enabled! Without it ...',
      '1:M 24 Nov 2026 18:44:46.000 * Loading RDB produced by version 7.0.15',
      '1:M 24 Nov 2026 18:44:46.000 # Internal error in RDB reading offset 12: Key "secret:17" is \'bad\'',
      '1:M 24 Nov 2026 18:44:46.000 # Terminating server after rdb file reading failure.',
    ].join('\n'),
  );
  expect(reasonIn(await lastLogLines(log, 20, 52))).toBe(
    'Internal error in RDB reading offset 12: Key ‹…› is ‹…›; Terminating server after rdb file reading failure.',
  );
  expect(await lastLogLines(join(folder.path, 'none'), 20)).toEqual([]);
  expect(reasonIn([])).toBeUndefined();
});
