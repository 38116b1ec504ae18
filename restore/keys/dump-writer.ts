import type { RdbVisitor } from '../../rdb/visitor.ts';
import type { TtlMode } from './expiry-rule.ts';
import type { KeySelector } from './key-selection.ts';
import type { Part } from './part.ts';

/** Makes what is sent of the dump's records as they are walked. */
export interface DumpWriter extends RdbVisitor {
  /** Bytes of the dump from here on may still be needed. */
  readonly keepFrom: number;
  /** The dump was walked up to `offset`: call between two blocks. */
  forget(offset: number): void;
  /** Hands over what is ready. */
  flush(): void;
}

export interface DumpWriterOptions {
  readonly selector: KeySelector;
  readonly ttl: TtlMode;
  readonly shiftMs: number;
  /** Most keys of a part: fewer make a rate that is small more even. */
  readonly batchKeys: number;
  /** The live server's clock, Unix ms. */
  readonly nowMs: () => number;
  /** Whether function libraries are wanted. */
  readonly functions: boolean;
  /** Given each part in the dump's order when nothing more comes to it. */
  readonly onPart: (part: Part) => void;
}
