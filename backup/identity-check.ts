import type { InstanceContext } from './instance-context.ts';

export async function checkIdentity(_context: InstanceContext, _replicationIds: readonly string[]): Promise<void> {}
