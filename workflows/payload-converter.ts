import { DefaultPayloadConverter, type Payload, type PayloadConverter } from '@temporalio/common';

/** What stands for a payload that cannot be read. */
export interface Unreadable {
  readonly unreadable: string;
}

/**
 * Temporal's own converter, but a payload that cannot be read becomes a value that says so. As it is, one signal that is
 * no JSON, typed into the UI by anybody, fails the workflow task again and again: the run stands still, fence included,
 * until the history is reset. This way the signal is refused, and a workflow with such an input ends with an error.
 */
class ForgivingPayloadConverter implements PayloadConverter {
  readonly #own = new DefaultPayloadConverter();

  toPayload<T>(value: T): Payload {
    return this.#own.toPayload(value);
  }

  fromPayload<T>(payload: Payload): T {
    try {
      return this.#own.fromPayload<T>(payload);
    } catch (error) {
      return { unreadable: (error as Error).message.slice(0, 200) } satisfies Unreadable as T;
    }
  }
}

/** The name that the SDK looks for (`payloadConverterPath`). */
export const payloadConverter = new ForgivingPayloadConverter();
