import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { within } from './within.ts';

/** Servers name each other by IP, configurations by name: the same place has to be seen as one. */
export class Places {
  readonly #addresses = new Map<string, readonly string[]>();

  /** Looks up the names among `places` (`host:port`, or a socket's path); what cannot be resolved stays itself. */
  async learn(places: readonly string[], timeoutMs: number): Promise<void> {
    const names = new Set(places.map(hostOf).filter((host) => !this.#addresses.has(host)));
    await Promise.all(
      [...names].map(async (host) => {
        const found = isIP(host) ? [host] : await within(timeoutMs, lookup(host, { all: true })).catch(() => []);
        this.#addresses.set(
          host,
          found.map((each) => (typeof each === 'string' ? each : each.address)),
        );
      }),
    );
  }

  same(a: string, b: string): boolean {
    if (a === b) return true;
    if (portOf(a) !== portOf(b) || portOf(a) === undefined) return false;
    const ofB = this.#of(b);
    return this.#of(a).some((address) => ofB.includes(address));
  }

  #of(place: string): readonly string[] {
    const host = hostOf(place);
    return [host, ...(this.#addresses.get(host) ?? [])];
  }
}

export function hostOf(place: string): string {
  const colon = place.lastIndexOf(':');
  return (colon < 0 ? place : place.slice(0, colon)).replace(/^\[|\]$/g, '');
}

export function portOf(place: string): number | undefined {
  const port = Number(/:(\d+)$/.exec(place)?.[1] ?? Number.NaN);
  return Number.isNaN(port) ? undefined : port;
}
