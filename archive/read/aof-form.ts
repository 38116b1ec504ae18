import type { Moment } from './moment.ts';

/** How the files of an append-only file are called in their folder, for a server that has not been told otherwise. */
export interface AofForm {
  /** Below the server's folder; empty where the file is one piece. */
  readonly folder: string;
  readonly base: string;
  /** The same as `base` where the file is one piece. */
  readonly incr: string;
  readonly manifest?: { readonly name: string; readonly text: string };
}

/** Redis 7.0 and newer, and every Valkey, keep several parts and a manifest; before, commands follow the dump in one file. */
export function aofForm({ server, base }: Pick<Moment, 'server' | 'base'>): AofForm {
  const name = 'appendonly.aof';
  if (server.name === 'redis' && Number.parseInt(server.version, 10) < 7) return { folder: '', base: name, incr: name };
  const first = `${name}.1.base.${base.kind}`;
  const incr = `${name}.1.incr.aof`;
  const text = `file ${first} seq 1 type b\nfile ${incr} seq 1 type i\n`;
  return { folder: 'appendonlydir', base: first, incr, manifest: { name: `${name}.manifest`, text } };
}

/** Arguments with which a plain redis-server starts on them, without the program. */
export function startArguments(dir: string): string[] {
  return [
    '--dir',
    dir,
    '--appendonly',
    'yes',
    '--appendfilename',
    'appendonly.aof',
    '--appenddirname',
    'appendonlydir',
  ];
}
