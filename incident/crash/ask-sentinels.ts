import type { Redis } from 'ioredis';
import type { SentinelGroup } from '../../redis/sentinel.ts';
import { type AskLimits, connectBounded, wordsOf } from './ask-server.ts';
import type { SentinelAnswer, SentinelsView } from './copies.ts';

/**
 * Asks every Sentinel, at once, what it holds of the primary. The answer with the latest failover is believed.
 *
 * @param isPrimary whether an address is the configured primary, under any of its names
 * @see https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/
 */
export async function askSentinels(
  group: SentinelGroup,
  limits: AskLimits,
  isPrimary: (address: string) => boolean,
): Promise<SentinelsView> {
  const asked = await Promise.allSettled(group.addresses.map((address) => askSentinel(group, address, limits)));
  const answers: SentinelAnswer[] = [];
  const silent: { address: string; reason: string }[] = [];
  for (const [index, result] of asked.entries()) {
    if (result.status === 'fulfilled') answers.push(result.value);
    else silent.push({ address: group.addresses[index]!, reason: wordsOf(result.reason) });
  }
  return viewOf(group.master, answers, silent, isPrimary);
}

/** The answers of several Sentinels as one view. */
export function viewOf(
  master: string,
  answers: readonly SentinelAnswer[],
  silent: SentinelsView['silent'],
  isPrimary: (address: string) => boolean,
): SentinelsView {
  const latest = [...answers].sort((a, b) => b.epoch - a.epoch)[0];
  const agreeing = answers.filter(({ epoch, down }) => epoch === latest?.epoch && down !== 'no').length;
  return {
    master,
    answers,
    silent,
    ...(latest ? { primary: latest.primary } : {}),
    promoted: latest !== undefined && !isPrimary(latest.primary),
    willPromote:
      latest !== undefined &&
      (answers.some(({ failover }) => failover) ||
        (agreeing >= latest.quorum && hasMajority(agreeing, latest) && latest.replicas.length > 0)),
  };
}

/** A failover needs the votes of most of the Sentinels that ever watched this primary. */
function hasMajority(voters: number, { otherSentinels }: SentinelAnswer): boolean {
  return voters * 2 > otherSentinels + 1;
}

/** A connection to one Sentinel. */
export function connectSentinel(group: SentinelGroup, address: string, limits: AskLimits): Promise<Redis> {
  const url = address.includes('://') ? address : `redis://${address}`;
  return connectBounded({ url, password: group.password, tls: group.tls }, limits);
}

async function askSentinel(group: SentinelGroup, address: string, limits: AskLimits): Promise<SentinelAnswer> {
  const redis = await connectSentinel(group, address, limits);
  try {
    const fields = fieldsOf(await redis.call('SENTINEL', 'MASTER', group.master));
    const replicas = (await redis.call('SENTINEL', 'REPLICAS', group.master)) as unknown[];
    const flags = fields.get('flags') ?? '';
    const lastReplyMs = Number(fields.get('last-ok-ping-reply') ?? Number.NaN);
    return {
      address,
      primary: place(fields),
      epoch: Number(fields.get('config-epoch') ?? 0),
      down: flags.includes('o_down') ? 'agreed' : flags.includes('s_down') ? 'by-itself' : 'no',
      failover: flags.includes('failover_in_progress'),
      quorum: Number(fields.get('quorum') ?? 1),
      otherSentinels: Number(fields.get('num-other-sentinels') ?? 0),
      ...(Number.isNaN(lastReplyMs) ? {} : { lastReplySeconds: Math.round(lastReplyMs / 1000) }),
      replicas: replicas.map((each) => place(fieldsOf(each))),
    };
  } finally {
    redis.disconnect();
  }
}

function place(fields: ReadonlyMap<string, string>): string {
  return `${fields.get('ip') ?? ''}:${fields.get('port') ?? ''}`;
}

function fieldsOf(reply: unknown): Map<string, string> {
  const flat = reply as string[];
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < flat.length; at += 2) fields.set(flat[at]!, flat[at + 1]!);
  return fields;
}
