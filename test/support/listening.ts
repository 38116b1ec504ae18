import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Loopback as proc(5) writes addresses: 32-bit words in the machine's byte order. */
const loopback = new Set(['0100007F', '00000000000000000000000001000000', '0000000000000000FFFF00000100007F']);
const listenState = '0A';

/** The addresses on which a process listens for TCP beyond loopback, as `/proc/net/tcp` has them. Linux only. */
export function listensBeyondLoopback(pid: number): string[] {
  const own = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return []; // closed in the meantime
      }
    }),
  );
  const all = ['tcp', 'tcp6']
    .flatMap((table) => readFileSync(`/proc/${pid}/net/${table}`, 'latin1').trim().split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[3] === listenState && own.has(columns[9] as string))
    .map((columns) => columns[1] as string);
  if (all.length === 0) throw new Error(`process ${pid} listens on nothing`);
  return all.filter((address) => !loopback.has(address.split(':')[0] as string));
}
