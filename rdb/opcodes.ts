/**
 * Bytes that stand where a key's type would stand and say something else (rdb.h of Redis 8.2 and of Valkey 9; defines.h
 * of librdb).
 */
export const opcode = {
  /** Redis Enterprise and Redis Cloud: a length, before a key. */
  ramLru: 107,
  /** Redis Enterprise and Redis Cloud: a slot's number. */
  slotNumber: 121,
  /** In dumps of VALKEY: slots that are being imported. */
  slotImport: 243,
  /** In dumps of REDIS, since version 13: what modules keep beside a key (keymeta.c). */
  keyMeta: 243,
  slotInfo: 244,
  function2: 245,
  functionPreGa: 246,
  moduleAux: 247,
  idle: 248,
  freq: 249,
  aux: 250,
  resizeDb: 251,
  expireTimeMs: 252,
  expireTime: 253,
  selectDb: 254,
  eof: 255,
} as const;

/** What stands before each piece of a module's value (rdb.h, RDB_MODULE_OPCODE_*). */
export const moduleOpcode = { eof: 0, sint: 1, uint: 2, float: 3, double: 4, string: 5 } as const;

/** The first version that ends with a CRC-64. */
export const firstVersionWithChecksum = 5;
/** The first version of REDIS that may have metadata before a key. */
export const firstVersionWithKeyMeta = 13;

/** The first version that has an opcode; before, a server takes it for a type that it does not know. */
const since: Readonly<Record<number, number>> = {
  [opcode.slotInfo]: 11,
  [opcode.function2]: 10,
  [opcode.moduleAux]: 9,
  [opcode.idle]: 9,
  [opcode.freq]: 9,
  [opcode.aux]: 7,
  [opcode.resizeDb]: 7,
};

/** False for an opcode that dumps of this version do not have yet. */
export function hasOpcode(version: number, code: number): boolean {
  return version >= (since[code] ?? 0);
}
