import type { RdbVisitor } from '../rdb/visitor.ts';
import type { AofCommand } from './command.ts';

/** Who is told what an append-only file holds, in its order. What a call hands over is valid only during the call. */
export interface AofVisitor {
  /** The file begins with a dump (a base, or the single file of before Redis 7): who is told what is in it. */
  preamble?: RdbVisitor;
  /** The dump before the commands ends. */
  preambleEnd?(end: number): void;
  /** A whole command; those of a transaction one by one, before it is known whether the transaction ends. */
  command?(command: AofCommand): void;
  /** `#TS:<seconds>`: what follows was written at or after this second (Unix). */
  timestamp?(seconds: number, offset: number): void;
}
