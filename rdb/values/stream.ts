import type { BlobFormat, BlobReader } from '../blob-reader.ts';
import type { Cursor } from '../cursor.ts';
import type { StreamNode } from '../stream-node.ts';
import type { PieceTarget, StringReader } from '../string-reader.ts';
import type { StreamId, ValueSink } from '../value-sink.ts';
import type { ValueReader } from './value-reader.ts';

const idBytes = 16;

type Phase =
  | 'nodes'
  | 'node-id'
  | 'node'
  | 'info'
  | 'groups'
  | 'group-name'
  | 'group-info'
  | 'pending'
  | 'consumers'
  | 'consumer-name'
  | 'consumer-info'
  | 'owned'
  | 'unowned-count'
  | 'unowned'
  | 'producers-info'
  | 'producer-name'
  | 'producer-info'
  | 'produced'
  | 'produced-id'
  | 'producers-end'
  | 'end';

/**
 * How a stream stands in the dump: 1 (type 15) is Redis 5 to 6.2; 2 (type 19, Redis 7.0) adds first and largest deleted
 * id, entries added and read; 3 (type 21, 7.2) each consumer's last successful read; 4 (type 26, 8.6) what idempotent
 * producers have sent; 5 (type 27, 8.8) the pending entries that consumers gave back, and that nobody owns.
 */
export type StreamForm = 1 | 2 | 3 | 4 | 5;

/**
 * A stream: nodes of entries, then what stands beside them, then consumer groups with what they have delivered and
 * not seen acknowledged, then idempotent producers.
 */
export class StreamValue implements ValueReader {
  readonly #strings: StringReader;
  readonly #blobs: BlobReader;
  readonly #format: BlobFormat;
  readonly #node: StreamNode;
  readonly #form: StreamForm;
  readonly #nodeId = new NodeId();
  #sink: ValueSink | null = null;
  #phase: Phase = 'nodes';
  #nodes = 0;
  #groups = 0;
  #consumers = 0;
  #entries = 0;
  #producers = 0;

  constructor(strings: StringReader, blobs: BlobReader, format: BlobFormat, node: StreamNode, form: StreamForm) {
    this.#strings = strings;
    this.#blobs = blobs;
    this.#format = format;
    this.#node = node;
    this.#form = form;
  }

  begin(sink: ValueSink | null): void {
    this.#sink = sink;
    this.#phase = 'nodes';
    if (sink !== null) this.#node.begin(sink);
  }

  run(c: Cursor): void {
    while (this.#phase !== 'end') {
      this.#phase = this.#step(c);
      c.commit();
    }
  }

  #step(c: Cursor): Phase {
    switch (this.#phase) {
      case 'nodes':
        this.#nodes = c.length();
        return this.#nodes === 0 ? 'info' : 'node-id';
      case 'node-id':
        this.#readNodeId(c);
        return 'node';
      case 'node':
        this.#blobs.read(c, this.#sink === null ? null : this.#format);
        return --this.#nodes === 0 ? 'info' : 'node-id';
      case 'info':
        this.#info(c);
        return 'groups';
      case 'groups':
        this.#groups = c.length();
        return this.#nextGroup();
      case 'group-name':
        this.#strings.read(c, this.#sink);
        return 'group-info';
      case 'group-info':
        this.#groupInfo(c);
        return this.#entries === 0 ? 'consumers' : 'pending';
      case 'pending':
        this.#pending(c);
        return --this.#entries === 0 ? 'consumers' : 'pending';
      case 'consumers':
        this.#consumers = c.length();
        return this.#nextConsumer();
      case 'consumer-name':
        this.#strings.read(c, this.#sink);
        return 'consumer-info';
      case 'consumer-info':
        this.#consumerInfo(c);
        return this.#entries === 0 ? this.#nextConsumer() : 'owned';
      case 'owned': {
        const id = this.#rawId(c);
        this.#sink?.owned(id);
        return --this.#entries === 0 ? this.#nextConsumer() : 'owned';
      }
      case 'unowned-count':
        this.#entries = c.length();
        return this.#entries === 0 ? this.#nextGroup() : 'unowned';
      case 'unowned':
        this.#rawId(c); // it is among the pending ones; that no consumer owns it says the same
        return --this.#entries === 0 ? this.#nextGroup() : 'unowned';
      case 'producers-info':
        c.length64(); // how long they are remembered
        c.length64(); // how many
        this.#producers = c.length();
        return this.#nextProducer();
      case 'producer-name':
        this.#strings.read(c, null);
        return 'producer-info';
      case 'producer-info':
        this.#entries = c.length();
        return this.#entries === 0 ? this.#nextProducer() : 'produced';
      case 'produced':
        this.#strings.read(c, null);
        return 'produced-id';
      case 'produced-id':
        this.#id(c);
        return --this.#entries === 0 ? this.#nextProducer() : 'produced';
      case 'producers-end':
        c.length64(); // entries added with an id of their producer's
        c.length64(); // and refused as sent before
        return 'end';
      case 'end':
        return 'end';
    }
  }

  #nextGroup(): Phase {
    if (this.#groups === 0) return this.#form < 4 ? 'end' : 'producers-info';
    this.#groups--;
    this.#sink?.group();
    return 'group-name';
  }

  #nextConsumer(): Phase {
    if (this.#consumers === 0) return this.#form < 5 ? this.#nextGroup() : 'unowned-count';
    this.#consumers--;
    this.#sink?.consumer();
    return 'consumer-name';
  }

  #nextProducer(): Phase {
    if (this.#producers === 0) return 'producers-end';
    this.#producers--;
    return 'producer-name';
  }

  #readNodeId(c: Cursor): void {
    this.#strings.read(c, this.#sink === null ? null : this.#nodeId);
    if (this.#sink === null) return;
    const { view, length } = this.#nodeId;
    this.#nodeId.length = 0;
    if (length !== idBytes) throw c.corrupt(`a stream node's id of ${length} bytes`);
    this.#node.beginNode(view.getBigUint64(0), view.getBigUint64(8));
  }

  #info(c: Cursor): void {
    const length = c.length();
    const lastId = this.#id(c);
    if (this.#form === 1) {
      this.#sink?.streamInfo({ length, lastId });
      return;
    }
    this.#id(c); // the first entry's id: the entries say the same
    const maxDeletedId = this.#id(c);
    const entriesAdded = c.length64();
    this.#sink?.streamInfo({ length, lastId, maxDeletedId, entriesAdded });
  }

  #groupInfo(c: Cursor): void {
    const lastId = this.#id(c);
    const entriesRead = this.#form === 1 ? undefined : BigInt.asIntN(64, c.length64());
    this.#entries = c.length();
    this.#sink?.groupInfo(entriesRead === undefined ? { lastId } : { lastId, entriesRead });
  }

  #pending(c: Cursor): void {
    const id = this.#rawId(c);
    const deliveredAtMs = c.i64le();
    const deliveries = c.length();
    this.#sink?.pending(id, deliveredAtMs, deliveries);
  }

  #consumerInfo(c: Cursor): void {
    const seenAtMs = c.i64le();
    const activeAtMs = this.#form < 3 ? undefined : c.i64le();
    this.#entries = c.length();
    this.#sink?.consumerInfo(activeAtMs === undefined ? { seenAtMs } : { seenAtMs, activeAtMs });
  }

  #id(c: Cursor): StreamId {
    const ms = c.length64();
    return { ms, seq: c.length64() };
  }

  #rawId(c: Cursor): StreamId {
    const ms = c.u64be();
    return { ms, seq: c.u64be() };
  }
}

/** Takes a node's id; of a longer string only the length. */
class NodeId implements PieceTarget {
  readonly #bytes = new Uint8Array(idBytes);
  readonly view = new DataView(this.#bytes.buffer);
  length = 0;

  piece(bytes: Uint8Array, start: number, end: number): void {
    for (let i = start; i < end && this.length + i - start < idBytes; i++) {
      this.#bytes[this.length + i - start] = bytes[i]!;
    }
    this.length += end - start;
  }
}
