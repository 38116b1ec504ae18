import { RewindError } from '../../errors/rewind-error.ts';
import type { Repository } from '../../repository/repository.ts';

/** The real store, behind a line that a test cuts. */
export class CutLine {
  fails: 'STORE_UNAVAILABLE' | 'DISK_FULL' | undefined;
  readonly repository: Repository;

  constructor(repository: Repository) {
    this.repository = new Proxy(repository, {
      get: (target, name) => {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          if (this.fails) throw new RewindError(this.fails, 'the test has cut the line');
          return Reflect.apply(value, target, args) as unknown;
        };
      },
    });
  }
}
