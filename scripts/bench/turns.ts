/** One side of a comparison. */
export interface Contender {
  readonly name: string;
  /** Does the work once and answers how many seconds of it count. */
  readonly once: (round: number) => Promise<number>;
}

export interface Timing {
  readonly name: string;
  /** By round. */
  readonly seconds: readonly number[];
}

/**
 * Runs all sides in turn, so that what else the machine does meets each of them alike. Every other round goes backwards,
 * because the one that comes second finds the caches that the first one left; the first round of all does not count.
 */
export async function inTurn(contenders: readonly Contender[], rounds: number): Promise<Timing[]> {
  const seconds = contenders.map((): number[] => []);
  for (let round = 0; round <= rounds; round++) {
    const order = [...contenders.keys()];
    if (round % 2 === 1) order.reverse();
    for (const index of order) {
      const taken = await contenders[index]!.once(round);
      process.stderr.write(
        `  ${round === 0 ? 'warm-up' : `round ${round}`}: ${contenders[index]!.name} ${taken.toFixed(2)} s\n`,
      );
      if (round > 0) seconds[index]!.push(taken);
    }
  }
  return contenders.map(({ name }, index) => ({ name, seconds: seconds[index]! }));
}

/** How long `work` takes, in seconds. */
export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const since = performance.now();
  await work();
  return (performance.now() - since) / 1000;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Below 1 ours is faster: the median of the rounds' own ratios, because the machine differs from round to round. */
export function ratioOf(ours: Timing, peer: Timing): number {
  return median(ours.seconds.map((each, round) => each / peer.seconds[round]!));
}
