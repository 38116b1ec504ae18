import { segmentsDirectory } from '../../archive/layout.ts';
import { decodeSegment } from '../../archive/segment.ts';
import type { Repository } from '../../repository/repository.ts';
import { instance } from './archive.ts';
import { marker } from './moment-writer.ts';

/** Positions at which a server is in one state. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
  /** `12` after operation 12 and its marker; `12+` when operation 13 is done and not yet marked. */
  readonly state: string;
}

/** A command or a transaction. */
interface Unit {
  readonly start: number;
  readonly end: number;
  /** In lower case the first; behind it the first command's arguments. */
  readonly names: readonly string[];
  /** What stands before it is not in the archive. */
  readonly afterGap: boolean;
}

/** Which state each position has, by the markers, as this test's own reading of the stored bytes has it. */
export async function statesOf(repository: Repository, timelines: number): Promise<Stretch[]> {
  const stretches: Stretch[] = [];
  let state = -1;
  for (let timeline = 1; timeline <= timelines; timeline++) {
    let unmarked: Unit[] = [];
    let from = -1;
    for (const unit of await unitsOf(repository, timeline)) {
      const { start, end, names } = unit;
      if (unit.afterGap) {
        // The state there is known again at the next marker.
        state = -1;
        from = start;
        unmarked = [];
      }
      if (from < 0) from = start;
      if (names[0] === 'set' && names[1] === marker) {
        const last = unmarked.at(-1);
        const first = unmarked[0];
        if (state >= 0) {
          // Between the commands of one operation there is no state that anybody was shown.
          stretches.push({ from, to: first?.start ?? start, state: String(state) });
          if (last && first) {
            if (first.end - first.start > 1) {
              stretches.push({ from: first.start + 1, to: first.end - 1, state: String(state) });
            }
            stretches.push({ from: last.end, to: start, state: `${state}+` });
          }
        }
        state = Number(names[2]);
        from = end;
        unmarked = [];
      } else if (names[0] !== 'select') unmarked.push(unit);
    }
    if (from >= 0 && state >= 0 && unmarked.length === 0) stretches.push({ from, to: from, state: String(state) });
  }
  return stretches.filter((each) => each.to >= each.from);
}

async function unitsOf(repository: Repository, timeline: number): Promise<Unit[]> {
  const units: Unit[] = [];
  const keys: string[] = [];
  for await (const { key } of repository.list(segmentsDirectory(instance, timeline))) keys.push(key);
  let open: { start: number; names: string[] } | undefined;
  for (const [i, key] of keys.sort().entries()) {
    const { header, body } = decodeSegment(await repository.readSmall(key, 64 * 1024 * 1024), key);
    const bytes = Buffer.from(body);
    let afterGap = i > 0 && header.previous === null;
    let at = 0;
    const line = () => {
      const end = bytes.indexOf('\r\n', at);
      const text = bytes.toString('latin1', at, end);
      at = end + 2;
      return text;
    };
    while (at < bytes.length) {
      const start = header.start + at;
      const head = line();
      if (head.startsWith('#')) continue;
      const names: string[] = [];
      for (let left = Number(head.slice(1)); left > 0; left--) {
        const length = Number(line().slice(1));
        names.push(bytes.toString('latin1', at, at + length));
        at += length + 2;
      }
      names[0] = String(names[0]).toLowerCase();
      const end = header.start + at;
      if (names[0] === 'multi') {
        open = { start, names };
        continue;
      }
      if (open && names[0] !== 'exec') continue;
      units.push({ ...(open ?? { start, names }), end, afterGap });
      afterGap = false;
      open = undefined;
    }
  }
  return units;
}
