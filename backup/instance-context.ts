import type { HostConfig } from '../config/config.ts';
import type { InstancePolicy } from '../policy/instance-policy.ts';
import type { RedisTarget } from '../redis/connection.ts';
import type { SentinelGroup } from '../redis/sentinel.ts';
import type { Repository } from '../repository/repository.ts';

/** What a step of one instance has in its hands; each role makes its own from its own configuration. */
export interface InstanceContext {
  readonly policy: InstancePolicy;
  readonly target: RedisTarget;
  readonly repository: Repository;
  /** Where this role keeps what must outlive its process: the identity it holds of the instance. */
  readonly home: string;
  /** How the server beside this role is stopped and started; absent where the configuration has no `host`. */
  readonly host?: HostConfig;
  /** Who watches the primary; asked only where copies of the data are looked for. */
  readonly sentinel?: () => Promise<SentinelGroup>;
}
