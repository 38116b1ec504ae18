import { shellWord } from './shell-word.ts';

/** Where an administrator types a command for this server; how they log in is theirs to add. */
export function redisCli(url: string): string {
  const { protocol, hostname, port, pathname } = new URL(url);
  if (protocol === 'unix:') return `redis-cli -s ${shellWord(decodeURIComponent(pathname))}`;
  const host = hostname.replace(/^\[|\]$/g, '');
  return `redis-cli -h ${host} -p ${port || 6379}${protocol === 'rediss:' ? ' --tls' : ''}`;
}

/** A setting for now and for after a restart. */
export function configSet(url: string, setting: string, value: string): string {
  const cli = redisCli(url);
  return `${cli} CONFIG SET ${setting} ${value} && ${cli} CONFIG REWRITE`;
}
