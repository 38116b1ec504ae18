import { expect, test } from 'vitest';
import { afterEarlierAttempts } from '../../activities/earlier-attempts.ts';

const never = new AbortController().signal;

test('an attempt begins when the one before it has ended, however that ends, and one of another step at once', async () => {
  const first = Promise.withResolvers<string>();
  const began: string[] = [];
  const attempt = (key: string, name: string, work: Promise<string>) =>
    afterEarlierAttempts(key, { signal: never }, () => {
      began.push(name);
      return work;
    });
  const one = attempt('put of a run', 'first', first.promise);
  const two = attempt('put of a run', 'second', Promise.resolve('2'));
  const three = attempt('put of a run', 'third', Promise.resolve('3'));
  expect(await attempt('put of another', 'other', Promise.resolve('o'))).toBe('o');
  expect(began).toEqual(['first', 'other']);
  first.reject(new Error('it was over'));
  await expect(one).rejects.toThrow('it was over');
  expect(await Promise.all([two, three])).toEqual(['2', '3']);
  expect(began).toEqual(['first', 'other', 'second', 'third']);
});

test('one that was cancelled while it waited lets nobody pass the one before it', async () => {
  const first = Promise.withResolvers<void>();
  const cancelled = new AbortController();
  const one = afterEarlierAttempts('step', { signal: never }, () => first.promise);
  const two = afterEarlierAttempts('step', { signal: cancelled.signal }, async () => 'done twice');
  let began = false;
  const three = afterEarlierAttempts('step', { signal: never }, async () => {
    began = true;
  });
  cancelled.abort();
  await expect(two).rejects.toThrow();
  expect(began).toBe(false);
  first.resolve();
  await Promise.all([one, three]);
  expect(began).toBe(true);
});

test('where the earlier one does not end the next says so and does nothing', async () => {
  const first = Promise.withResolvers<void>();
  const one = afterEarlierAttempts('stuck', { signal: never }, () => first.promise);
  const two = afterEarlierAttempts('stuck', { signal: never, patienceMs: 20 }, async () => 'done twice');
  await expect(two).rejects.toMatchObject({ code: 'STEP_STILL_RUNNING', retryable: true });
  first.resolve();
  await one;
});
