import type { Redis } from 'ioredis';

/**
 * The users as ACL LIST prints them, one line each, which ACL SETUSER and an aclfile read back exactly. Passwords stand
 * there as SHA-256 hashes (`#…`), as Redis keeps them; still, whoever has a hash can try passwords against it.
 *
 * @see https://redis.io/docs/latest/commands/acl-list/
 */
export async function readAclList(redis: Redis): Promise<string[]> {
  return (await redis.call('ACL', 'LIST')) as string[];
}
