import type { RdbMagic } from './magic.ts';

/** What the command TYPE answers; `module` stands for whatever a module calls its type. */
export type RdbType = DecodedType | 'array' | 'module';

/** Types whose content is decoded. Of the others only the length is found. */
export type DecodedType = 'string' | 'list' | 'set' | 'zset' | 'hash' | 'stream';

/** How a value stands in the dump: rdb.h's names without RDB_TYPE_. */
export interface RdbTypeInfo {
  readonly code: number;
  /** The first version of the format that has it: no server takes it before, and no older one wrote it. Default 1. */
  readonly since?: number;
  readonly name: string;
  readonly type: RdbType;
}

const shared: readonly RdbTypeInfo[] = [
  { code: 0, name: 'STRING', type: 'string' },
  { code: 1, name: 'LIST', type: 'list' },
  { code: 2, name: 'SET', type: 'set' },
  { code: 3, name: 'ZSET', type: 'zset' },
  { code: 4, name: 'HASH', type: 'hash' },
  { code: 5, since: 8, name: 'ZSET_2', type: 'zset' },
  { code: 7, since: 8, name: 'MODULE_2', type: 'module' },
  { code: 9, name: 'HASH_ZIPMAP', type: 'hash' },
  { code: 10, name: 'LIST_ZIPLIST', type: 'list' },
  { code: 11, name: 'SET_INTSET', type: 'set' },
  { code: 12, name: 'ZSET_ZIPLIST', type: 'zset' },
  { code: 13, name: 'HASH_ZIPLIST', type: 'hash' },
  { code: 14, since: 7, name: 'LIST_QUICKLIST', type: 'list' },
  { code: 15, since: 9, name: 'STREAM_LISTPACKS', type: 'stream' },
  { code: 16, since: 10, name: 'HASH_LISTPACK', type: 'hash' },
  { code: 17, since: 10, name: 'ZSET_LISTPACK', type: 'zset' },
  { code: 18, since: 10, name: 'LIST_QUICKLIST_2', type: 'list' },
  { code: 19, since: 10, name: 'STREAM_LISTPACKS_2', type: 'stream' },
  { code: 20, since: 11, name: 'SET_LISTPACK', type: 'set' },
  { code: 21, since: 11, name: 'STREAM_LISTPACKS_3', type: 'stream' },
];

const redisOnly: readonly RdbTypeInfo[] = [
  { code: 22, since: 12, name: 'HASH_METADATA_PRE_GA', type: 'hash' },
  { code: 23, since: 12, name: 'HASH_LISTPACK_EX_PRE_GA', type: 'hash' },
  { code: 24, since: 12, name: 'HASH_METADATA', type: 'hash' },
  { code: 25, since: 12, name: 'HASH_LISTPACK_EX', type: 'hash' },
  { code: 26, since: 13, name: 'STREAM_LISTPACKS_4', type: 'stream' },
  { code: 27, since: 13, name: 'STREAM_LISTPACKS_5', type: 'stream' },
  { code: 28, since: 13, name: 'ARRAY', type: 'array' },
];

const valkeyOnly: readonly RdbTypeInfo[] = [{ code: 22, name: 'HASH_2', type: 'hash' }];

/** Types and opcodes whose length is not known here: named, so that an error can name them (rdb.h of later versions). */
const unreadable: Readonly<Record<RdbMagic, Readonly<Record<number, string>>>> = {
  REDIS: {
    6: 'MODULE_PRE_GA',
    29: 'HASH_TMPL_LP',
    30: 'HASH_TMPL_LP_REF',
    31: 'HASH_TMPL_ARRAY',
    32: 'HASH_TMPL_ARRAY_REF',
    33: 'GCRA',
    242: 'opcode HASH_TEMPLATES',
    246: 'opcode FUNCTION_PRE_GA',
  },
  VALKEY: { 6: 'MODULE_PRE_GA', 23: 'PATH_HASH', 242: 'opcode UPDATE', 246: 'opcode FUNCTION_PRE_GA' },
};

/** The types that a dump of this family and version may hold, by their code; without a version all. */
export function typesOf(magic: RdbMagic, version = Number.POSITIVE_INFINITY): ReadonlyMap<number, RdbTypeInfo> {
  const all = [...shared, ...(magic === 'REDIS' ? redisOnly : valkeyOnly)];
  return new Map(all.filter(({ since = 1 }) => since <= version).map((info) => [info.code, info]));
}

export function isDecoded(type: RdbType): type is DecodedType {
  return type !== 'module' && type !== 'array';
}

/** True for the types of hashes that are written only where a field expires. */
export function hasFieldExpiries(magic: RdbMagic, code: number): boolean {
  return magic === 'REDIS' ? code >= 22 && code <= 25 : code === 22;
}

/** A name for a type byte that is none of `typesOf`, for errors. */
export function unknownTypeName(magic: RdbMagic, code: number): string {
  const later = typesOf(magic).get(code);
  return unreadable[magic][code] ?? (later === undefined ? 'unknown' : `${later.name} of a later version`);
}
