/**
 * The commands that Redis 6.2 to 8.2 and Valkey 8 and 9 write to their append-only files, asked of these servers
 * (COMMAND, flags write and may_replicate), with what they write around them. Modules and `rename-command` add others.
 */
const names = `append bitfield bitop blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin cluster copy decr decrby
del delifeq eval evalsha exec expire expireat fcall flushall flushdb function geoadd georadius georadiusbymember
geosearchstore getdel getex getset hdel hexpire hexpireat hgetdel hgetex hincrby hincrbyfloat hmset hpersist hpexpire
hpexpireat hset hsetex hsetnx incr incrby incrbyfloat linsert lmove lmpop lpop lpush lpushx lrem lset ltrim migrate move
mset msetex msetnx multi persist pexpire pexpireat pfadd pfcount pfdebug pfmerge ping psetex publish rename renamenx
restore restore-asking rpop rpoplpush rpush rpushx sadd script sdiffstore select set setbit setex setnx setrange
sinterstore smove sort spop spublish srem sunionstore swapdb unlink vadd vrem vsetattr xack xackdel xadd xautoclaim
xclaim xdel xdelex xgroup xreadgroup xsetid xtrim zadd zdiffstore zincrby zinterstore zmpop zpopmax zpopmin zrangestore
zrem zremrangebylex zremrangebyrank zremrangebyscore zunionstore`;

const slots = new Map<number, string[]>();
for (const name of names.split(/\s+/)) {
  const hash = hashOf(Buffer.from(name), 0, name.length);
  slots.set(hash, [...(slots.get(hash) ?? []), name]);
}

/** True where [start, end) of the bytes is such a name, in whatever case. Allocates nothing. */
export function isKnownCommand(bytes: Uint8Array, start: number, end: number): boolean {
  const candidates = slots.get(hashOf(bytes, start, end));
  if (candidates === undefined) return false;
  for (const name of candidates) {
    if (name.length !== end - start) continue;
    let i = 0;
    while (i < name.length && lower(bytes[start + i]!) === name.charCodeAt(i)) i++;
    if (i === name.length) return true;
  }
  return false;
}

function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start;
  for (let i = start; i < end && i < start + 32; i++) hash = (Math.imul(hash, 31) + lower(bytes[i]!)) | 0;
  return hash;
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}
