import type { AofCommand } from '../../aof/command.ts';
import { AofScanner } from '../../aof/scanner.ts';
import type { Repository } from '../../repository/repository.ts';
import { segmentKey } from '../layout.ts';
import { push } from '../read/cut.ts';
import { segmentParts } from '../read/segment-stream.ts';
import type { SegmentHeader } from '../segment.ts';

/**
 * Walks the commands of a stored segment, by offsets in its file.
 *
 * @returns the database that is selected at its end
 * @throws ARCHIVE_SEGMENT_DAMAGED, AOF_CORRUPT
 */
export async function walkStored(
  repository: Repository,
  { instance, timeline, start, file, db }: SegmentHeader,
  command: (command: AofCommand) => void,
): Promise<number> {
  const key = segmentKey(instance, timeline, start);
  let selected = db;
  const visitor = {
    command: (each: AofCommand) => {
      selected = each.is('select') ? Number(each.copyArgument(1)) : each.db;
      command(each);
    },
  };
  const scanner = new AofScanner(visitor, { offset: file.offset, db });
  for await (const part of segmentParts(await repository.read(key), key)) {
    if (part.part === 'bytes') push(scanner, part.bytes);
  }
  return selected;
}
