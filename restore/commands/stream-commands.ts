import { RewindError } from '../../errors/rewind-error.ts';
import type { ConsumerInfo, GroupInfo, StreamId, StreamInfo } from '../../rdb/value-sink.ts';
import type { CommandFeatures } from './command-target.ts';
import type { IdList } from './id-list.ts';
import { PendingList } from './pending-list.ts';
import { idText, isBefore, isSame, noId } from './stream-id.ts';

export type Emit = (args: readonly (Buffer | string)[]) => void;

/** Ids that one XCLAIM or XDEL names at most. */
const mostIds = 512;

/**
 * A stream as commands: its entries with their own ids, its counters, its groups, their consumers and what is pending
 * with each.
 *
 * An entry can be pending although it was deleted since; XCLAIM makes nothing pending that is not in the stream. So such
 * entries are put in with the others, claimed, and taken out again: the ones behind the first entry by XDEL, which is
 * what took them out the first time, the ones before it by XTRIM, because XDEL would leave a largest deleted id behind
 * that XSETID cannot set back to none.
 */
export class StreamCommands {
  readonly #features: CommandFeatures;
  readonly #pending = new PendingList();
  #emit!: Emit;
  #key!: Buffer;
  #deleted: IdList | undefined;
  #deletedPut = 0;
  /** Of the entries that stay. */
  #first: StreamId | undefined;
  #last: StreamId = noId;
  #length = 0;
  #entry: (Buffer | string)[] = [];
  #stringsLeft = 0;
  #info: StreamInfo | undefined;
  #naming: 'group' | 'consumer' | undefined;
  #group!: Buffer;
  #consumer!: Buffer;
  #claim: string[] = [];
  #claimTime = 0;
  #claimDeliveries = 0;

  constructor(features: CommandFeatures) {
    this.#features = features;
  }

  /** @param deleted ids that are pending in a group and no longer in the stream */
  begin(key: Buffer, emit: Emit, deleted: IdList | undefined): void {
    this.#key = key;
    this.#emit = emit;
    this.#deleted = deleted;
    this.#deletedPut = 0;
    this.#first = undefined;
    this.#last = noId;
    this.#length = 0;
    this.#info = undefined;
    this.#naming = undefined;
    this.#pending.clear();
  }

  entry(id: StreamId, fields: number): void {
    if (fields === 0) {
      throw new RewindError('COMMANDS_CANNOT_SAY', `an entry of a stream has no field, which XADD cannot say`);
    }
    this.#putDeletedBefore(id);
    this.#first ??= id;
    this.#last = id;
    this.#length++;
    this.#stringsLeft = 2 * fields;
    this.#entry = ['XADD', this.#key, idText(id)];
  }

  /** The next string: of an entry, or the name of the group or consumer that was begun. */
  text(bytes: Buffer): void {
    if (this.#naming === 'group') this.#group = bytes;
    else if (this.#naming === 'consumer') this.#consumer = bytes;
    else {
      this.#entry.push(bytes);
      if (--this.#stringsLeft === 0) this.#emit(this.#entry);
    }
  }

  info(info: StreamInfo): void {
    this.#info = info;
    this.#putDeletedBefore(undefined);
    if (this.#length + this.#deletedPut === 0) this.#createEmpty();
    // Before the groups: a server may hold what a group has read against what was ever added.
    this.#setCounters(this.#deletedPut === 0);
  }

  group(): void {
    this.#flushClaim();
    this.#pending.clear();
    this.#naming = 'group';
  }

  groupInfo({ lastId, entriesRead }: GroupInfo): void {
    const read = this.#features.sinceSeven && entriesRead !== undefined ? ['ENTRIESREAD', String(entriesRead)] : [];
    this.#emit(['XGROUP', 'CREATE', this.#key, this.#group, idText(lastId), ...read]);
  }

  pending(id: StreamId, deliveredAtMs: number, deliveries: number): void {
    this.#pending.add(id, deliveredAtMs, deliveries);
  }

  consumer(): void {
    this.#flushClaim();
    this.#naming = 'consumer';
  }

  /** When it was last seen cannot be said: both times become those of the restore. */
  consumerInfo(_info: ConsumerInfo): void {
    this.#emit(['XGROUP', 'CREATECONSUMER', this.#key, this.#group, this.#consumer]);
  }

  owned(id: StreamId): void {
    const pending = this.#pending.find(id);
    if (!pending) {
      throw new RewindError('RDB_CORRUPT', 'a consumer owns an entry that is not among the pending ones of its group');
    }
    const { deliveredAtMs, deliveries } = pending;
    const same = deliveredAtMs === this.#claimTime && deliveries === this.#claimDeliveries;
    if (!same || this.#claim.length === mostIds) this.#flushClaim();
    this.#claimTime = deliveredAtMs;
    this.#claimDeliveries = deliveries;
    this.#claim.push(idText(id));
  }

  end(): void {
    this.#flushClaim();
    if (this.#deletedPut === 0) return;
    this.#takeOutDeleted();
    this.#setCounters(true);
  }

  #putDeletedBefore(id: StreamId | undefined): void {
    const deleted = this.#deleted;
    while (deleted !== undefined && this.#deletedPut < deleted.length) {
      const next = deleted.at(this.#deletedPut);
      if (id !== undefined && !isBefore(next, id)) return;
      this.#emit(['XADD', this.#key, idText(next), 'deleted', '']);
      this.#deletedPut++;
    }
  }

  #takeOutDeleted(): void {
    if (this.#first === undefined) {
      this.#emit(['XTRIM', this.#key, 'MAXLEN', '=', '0']);
      return;
    }
    let ids: string[] = [];
    let before = false;
    for (let i = 0; i < this.#deletedPut; i++) {
      const id = this.#deleted!.at(i);
      if (isBefore(id, this.#first)) before = true;
      else ids.push(idText(id));
      if (ids.length < mostIds) continue;
      this.#emit(['XDEL', this.#key, ...ids]);
      ids = [];
    }
    if (ids.length > 0) this.#emit(['XDEL', this.#key, ...ids]);
    if (before) this.#emit(['XTRIM', this.#key, 'MINID', '=', idText(this.#first)]);
  }

  /** No entry makes it: a group does, which goes again and leaves nothing of itself. */
  #createEmpty(): void {
    this.#emit(['XGROUP', 'CREATE', this.#key, 'rewind', '0', 'MKSTREAM']);
    this.#emit(['XGROUP', 'DESTROY', this.#key, 'rewind']);
  }

  /** @param exact all of the stream's counters; else as many as it takes while deleted entries are in it */
  #setCounters(exact: boolean): void {
    const { lastId, entriesAdded = BigInt(this.#length), maxDeletedId = noId } = this.#info!;
    const command = ['XSETID', this.#key, idText(lastId)];
    if (this.#features.sinceSeven) {
      const there = BigInt(this.#length + (exact ? 0 : this.#deletedPut));
      command.push('ENTRIESADDED', String(entriesAdded < there ? there : entriesAdded));
      if (exact && !isSame(maxDeletedId, noId)) command.push('MAXDELETEDID', idText(maxDeletedId));
    }
    const plain = this.#deletedPut === 0 && isSame(lastId, this.#last) && isSame(maxDeletedId, noId);
    if (plain && (!this.#features.sinceSeven || entriesAdded === BigInt(this.#length))) return;
    this.#emit(command);
  }

  #flushClaim(): void {
    if (this.#claim.length === 0) return;
    const time = ['TIME', String(this.#claimTime), 'RETRYCOUNT', String(this.#claimDeliveries)];
    const claim = ['XCLAIM', this.#key, this.#group, this.#consumer, '0', ...this.#claim, ...time, 'FORCE', 'JUSTID'];
    this.#emit(claim);
    this.#claim = [];
  }
}
