import { RewindError } from '../errors/rewind-error.ts';
import { addressOf, connectionError, type RedisTarget } from '../redis/connection.ts';

/**
 * What a server's answer to a step of the fence means. Never quotes an answer to ACL SETUSER: it may repeat a rule.
 *
 * @param right as ACL rules name it: `acl|setuser`
 */
export function refusalOf(target: Pick<RedisTarget, 'url'>, right: string, error: unknown): RewindError {
  if (error instanceof RewindError) return error;
  const said = error instanceof Error ? error.message : String(error);
  const where = `Redis at ${addressOf(target)}`;
  if (/^NOPERM/.test(said)) {
    return impossible(
      `${where} does not let the user of the configuration run ${right.toUpperCase().replace('|', ' ')}`,
    );
  }
  if (/unknown (sub)?command/i.test(said)) {
    return impossible(
      `${where} has no ${right.split('|')[0]?.toUpperCase()}: it is older than Redis 6, or a provider took it away`,
    );
  }
  if (/^BUSY/.test(said)) {
    const busy =
      'runs a script that does not end and answers nothing else (redis-cli SCRIPT KILL, if it has not written yet)';
    return new RewindError('FENCE_NOT_IN_FORCE', `${where} ${busy}.`);
  }
  if (/^(ERR|WRONGTYPE)/.test(said)) {
    return new RewindError('FENCE_NOT_IN_FORCE', `${where} did not take ${right.replace('|', ' ').toUpperCase()}.`);
  }
  return connectionError(target, error);
}

const impossible = (reason: string): RewindError =>
  new RewindError('FENCE_NOT_POSSIBLE', `Writing cannot be stopped by ACL: ${reason}.`);
