/** Chunks as they come, put into the room that a reader offers. */
export interface StreamSource {
  /** Puts the next bytes at the beginning of `room` and answers how many; 0 at the end. */
  read(room: Uint8Array): Promise<number>;
  close(): Promise<void>;
}

export function openStream(stream: AsyncIterable<Uint8Array>): StreamSource {
  const chunks = stream[Symbol.asyncIterator]();
  let chunk: Uint8Array = new Uint8Array(0);
  return {
    read: async (room) => {
      while (chunk.length === 0) {
        const next = await chunks.next();
        if (next.done) return 0;
        chunk = next.value;
      }
      const taken = Math.min(chunk.length, room.length);
      room.set(chunk.subarray(0, taken));
      chunk = chunk.subarray(taken);
      return taken;
    },
    close: async () => {
      await chunks.return?.();
    },
  };
}
