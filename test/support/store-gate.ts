import type { Fault } from './s3-fault-proxy.ts';

/** A request to the store that is held until the test lets it go on. */
export interface StoreGate {
  readonly fault: Fault;
  /** Settles when a request has come. */
  readonly reached: Promise<void>;
  open(): void;
}

/**
 * @param url of the request that is meant; others go by
 * @param held `before`: the store knows nothing of the request yet; `after`: it has done it and its answer is held, the
 * moment at which a worker that dies does not know what it has done
 */
export function storeGate(url: RegExp, held: 'before' | 'after' = 'before'): StoreGate {
  let reach: () => void = () => {};
  let open: () => void = () => {};
  const reached = new Promise<void>((resolve) => (reach = resolve));
  const opened = new Promise<void>((resolve) => (open = resolve));
  const wait = async () => {
    reach();
    await opened;
  };
  return {
    reached,
    open: () => open(),
    fault: async ({ seen, forward, answer }) => {
      const meant = url.test(seen.url);
      if (meant && held === 'before') await wait();
      const answered = await forward();
      if (meant && held === 'after') await wait();
      await answer(answered);
    },
  };
}
