import type { ErrorCode } from '../../errors/catalogue.ts';
import { RewindError } from '../../errors/rewind-error.ts';

/** What the SDK's errors have in common. */
interface SdkError {
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
}

const byName: Readonly<Record<string, ErrorCode>> = {
  CredentialsProviderError: 'STORE_CREDENTIALS_MISSING',
  TokenProviderError: 'STORE_CREDENTIALS_MISSING',
  NoSuchBucket: 'STORE_BUCKET_MISSING',
  PermanentRedirect: 'STORE_BUCKET_MISSING',
  AuthorizationHeaderMalformed: 'STORE_BUCKET_MISSING',
  IllegalLocationConstraintException: 'STORE_BUCKET_MISSING',
  RequestTimeTooSkewed: 'STORE_CLOCK_SKEW',
  RequestExpired: 'STORE_CLOCK_SKEW',
  NoSuchKey: 'OBJECT_MISSING',
  NoSuchUpload: 'UPLOAD_DAMAGED',
  PreconditionFailed: 'OBJECT_DIFFERS',
  ConditionalRequestConflict: 'STORE_UNAVAILABLE',
  TimeoutError: 'STORE_UNREACHABLE',
  IncompleteBody: 'STORE_UNREACHABLE',
  RequestTimeout: 'STORE_UNREACHABLE',
  BadDigest: 'UPLOAD_DAMAGED',
  XAmzContentChecksumMismatch: 'UPLOAD_DAMAGED',
  SlowDown: 'STORE_UNAVAILABLE',
  SlowDownRead: 'STORE_UNAVAILABLE',
  SlowDownWrite: 'STORE_UNAVAILABLE',
  TooManyRequests: 'STORE_UNAVAILABLE',
  OperationAborted: 'STORE_UNAVAILABLE',
  NotImplemented: 'STORE_REFUSED',
};

const UNTRUSTED = /^(CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|ERR_TLS_|ERR_SSL_|HOSTNAME_MISMATCH)/;
const NETWORK = /^(E[A-Z]{3,}|ERR_STREAM|ERR_HTTP|UND_ERR)/;

const errorName = (error: unknown): string | undefined => (error as SdkError)?.name;

export function isNotFound(error: unknown): boolean {
  return (error as SdkError)?.$metadata?.httpStatusCode === 404 && !/^(NoSuchBucket|kms)/i.test(errorName(error) ?? '');
}

/** A range of an object without a byte. */
export const isEmptyRange = (error: unknown): boolean => errorName(error) === 'InvalidRange';

/** The name is taken, or is being taken by somebody else at this moment. */
export function isTaken(error: unknown): boolean {
  return sdkNames(error).some((name) => name === 'PreconditionFailed' || name === 'ConditionalRequestConflict');
}

/** The store does not know the upload any more: it was completed, or somebody removed it. */
export const isLostUpload = (error: unknown): boolean => sdkNames(error).includes('NoSuchUpload');

/** Of the error and of what it was made from. */
function sdkNames(error: unknown): (string | undefined)[] {
  return [errorName(error), errorName((error as Error)?.cause)];
}

/** A store's error in an operator's words. RewindErrors and cancellations stay what they are. */
export function storeFailure(error: unknown, doing: string, signal?: AbortSignal): unknown {
  if (error instanceof RewindError) return error;
  if (signal?.aborted) return signal.reason;
  const sdk = error as SdkError;
  const code = codeOf(sdk);
  if (code === undefined) return error;
  const status = sdk.$metadata?.httpStatusCode;
  const words = [sdk.name, sdk.code, status && `HTTP ${status}`].filter(Boolean).join(', ');
  return new RewindError(code, `${doing}: ${sdk.message ?? 'no message'} (${words}).`, {
    cause: error,
    details: { status, storeError: sdk.name, requestId: sdk.$metadata?.requestId },
  });
}

function codeOf({ name = '', code = '', message = '', $metadata }: SdkError): ErrorCode | undefined {
  const named = byName[name];
  if (named) return named;
  const status = $metadata?.httpStatusCode;
  if (status === 429 || (status !== undefined && status >= 500)) return 'STORE_UNAVAILABLE';
  if (/^kms/i.test(name) || /\bkms\b/i.test(message)) return 'STORE_KEY_REFUSED';
  if (/region is missing/i.test(message)) return 'STORE_CREDENTIALS_MISSING';
  if (UNTRUSTED.test(code)) return 'STORE_CERTIFICATE_REFUSED';
  if (status === 401 || status === 403) return 'STORE_ACCESS_DENIED';
  if (NETWORK.test(code) || /socket hang up|aborted|terminated/i.test(message)) return 'STORE_UNREACHABLE';
  return status === undefined ? undefined : 'STORE_REFUSED';
}
