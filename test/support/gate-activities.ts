import { readFile } from 'node:fs/promises';
import { ApplicationFailure } from '@temporalio/common';
import type { GateTestActivities } from './gate-workflows.ts';

/** What the steps of the test workflows do; a file says it. */
export const gateTestActivities: GateTestActivities = {
  lookAgain: async (file) => readSaid(file),
  doStep: async (input) => {
    await readSaid(input.file);
    return input;
  },
};

interface Said {
  readonly fail?: { readonly code: string; readonly message: string; readonly next?: string };
}

async function readSaid<T>(file: string): Promise<T | undefined> {
  const text = await readFile(file, 'utf8');
  if (text === '') return undefined;
  const { fail, ...rest } = JSON.parse(text) as Said;
  if (!fail) return rest as T;
  const { code, message, next } = fail;
  throw ApplicationFailure.create({ type: code, message, details: [{ next }], nonRetryable: true });
}
