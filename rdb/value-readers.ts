import { BlobReader } from './blob-reader.ts';
import { PairElements, ScoredElements, SingleElements, TripleElements } from './elements.ts';
import { Intset } from './intset.ts';
import { Listpack } from './listpack.ts';
import type { RdbMagic } from './magic.ts';
import { StreamNode } from './stream-node.ts';
import type { StringReader } from './string-reader.ts';
import { ArrayValue } from './values/array.ts';
import { HashValue } from './values/hash.ts';
import type { ModuleValue } from './values/module.ts';
import { PackedValue } from './values/packed.ts';
import { QuicklistValue } from './values/quicklist.ts';
import { type StreamForm, StreamValue } from './values/stream.ts';
import { StringValue } from './values/string.ts';
import { StringsValue } from './values/strings.ts';
import type { ValueReader } from './values/value-reader.ts';
import { ZsetValue } from './values/zset.ts';
import { Ziplist } from './ziplist.ts';
import { Zipmap } from './zipmap.ts';

/** One reader for each type code of `typesOf(magic)`, at the code's index. */
export function valueReaders(magic: RdbMagic, strings: StringReader, module: ModuleValue): (ValueReader | undefined)[] {
  const blobs = new BlobReader(strings);
  const single = new SingleElements();
  const pairs = new PairElements();
  const triples = new TripleElements();
  const scored = new ScoredElements();
  const node = new StreamNode();
  const nodeListpack = new Listpack(node);
  const stream = (form: StreamForm) => new StreamValue(strings, blobs, nodeListpack, node, form);
  const readers: (ValueReader | undefined)[] = [];
  readers[0] = new StringValue(strings);
  readers[1] = new StringsValue(strings);
  readers[2] = readers[1];
  readers[3] = new ZsetValue(strings, 'text');
  readers[4] = new HashValue(strings, 'none');
  readers[5] = new ZsetValue(strings, 'double');
  readers[7] = module;
  readers[9] = new PackedValue(blobs, new Zipmap(pairs), pairs);
  readers[10] = new PackedValue(blobs, new Ziplist(single), single);
  readers[11] = new PackedValue(blobs, new Intset(single), single);
  readers[12] = new PackedValue(blobs, new Ziplist(scored), scored);
  readers[13] = new PackedValue(blobs, new Ziplist(pairs), pairs);
  readers[14] = new QuicklistValue(strings, blobs, new Ziplist(single), single, false);
  readers[15] = stream(1);
  readers[16] = new PackedValue(blobs, new Listpack(pairs), pairs);
  readers[17] = new PackedValue(blobs, new Listpack(scored), scored);
  readers[18] = new QuicklistValue(strings, blobs, new Listpack(single), single, true);
  readers[19] = stream(2);
  readers[20] = new PackedValue(blobs, new Listpack(single), single);
  readers[21] = stream(3);
  if (magic === 'VALKEY') {
    readers[22] = new HashValue(strings, 'last');
  } else {
    readers[22] = new HashValue(strings, 'absolute-first');
    readers[23] = new PackedValue(blobs, new Listpack(triples), triples);
    readers[24] = new HashValue(strings, 'relative-first');
    readers[25] = new PackedValue(blobs, new Listpack(triples), triples, 8);
    readers[26] = stream(4);
    readers[27] = stream(5);
    readers[28] = new ArrayValue(strings);
  }
  return readers;
}
