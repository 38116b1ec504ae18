import { describe, expect, it } from 'vitest';
import { saveState } from '../../redis/save.ts';

const start = { startedAt: 1000, runId: 'run-1' };
const info = (fields: Record<string, string>) => ({
  run_id: 'run-1',
  rdb_bgsave_in_progress: '0',
  rdb_last_save_time: '900',
  rdb_last_bgsave_status: 'ok',
  aof_rewrite_in_progress: '0',
  ...fields,
});

describe('the state of a save that was asked for', () => {
  it('is not ended by rdb_bgsave_in_progress:0 alone: a scheduled save waits for a rewrite', () => {
    expect(saveState(info({ aof_rewrite_in_progress: '1' }), start)).toEqual({ state: 'waiting-for-rewrite' });
  });

  it('is not ended by the status ok of an earlier save: FLUSHALL kills the child and leaves it ok', () => {
    expect(saveState(info({}), start)).toEqual({ state: 'idle', lastStatus: 'ok' });
  });

  it('is ended by a save that Redis finished at or after the second it was asked for', () => {
    expect(saveState(info({ rdb_last_save_time: '1000' }), start)).toEqual({ state: 'ended', endedAt: 1000 });
  });

  it('is lost with the server process that was asked', () => {
    expect(saveState(info({ run_id: 'run-2', rdb_last_save_time: '2000' }), start)).toEqual({ state: 'restarted' });
  });

  it('carries the share of keys that are written', () => {
    const fields = { rdb_bgsave_in_progress: '1', current_save_keys_processed: '5', current_save_keys_total: '10' };
    expect(saveState(info(fields), start)).toEqual({ state: 'running', progress: { done: 5, total: 10 } });
  });
});
