import type { ErrorEntry } from './entry.ts';

const unlisted = 'Nothing half-made is ever listed as a backup; earlier backups stand.';

export const repositoryErrors = {
  REPOSITORY_URL_INVALID: {
    when: 'The repository’s address is neither file:///absolute/folder nor s3://bucket/prefix, or names no bucket or folder.',
    safe: 'Nothing was written.',
    next: 'Write the address under repository.url as file:///var/backups/redis or s3://bucket/prefix.',
    retryable: false,
  },
  REPOSITORY_NAME_INVALID: {
    when: 'A name that was to be used in the repository could leave its place there: dots, empty parts or odd characters.',
    safe: 'Nothing was read or written under it.',
    next: 'Use instance names and backup ids as rewind backups NAME prints them.',
    retryable: false,
  },
  REPOSITORY_FOLDER_REFUSED: {
    when: 'The folder of a file:// repository cannot be used: no rights, read-only, or no folder.',
    safe: unlisted,
    next: 'Let the user of this process write to the folder that the message names, or choose another: repository.url',
    retryable: false,
  },
  STORE_UNREACHABLE: {
    when: 'No connection to the object store could be made, it was dropped, or the store fell silent.',
    safe: `${unlisted} An upload that was cut off goes on where it was.`,
    next: 'Look whether repository.endpoint is right and reachable from this machine; the step is tried again by itself.',
    retryable: true,
  },
  STORE_UNAVAILABLE: {
    when: 'The object store answered that it cannot serve now (5xx or slow down), several times in a row.',
    safe: `${unlisted} An upload that was cut off goes on where it was.`,
    next: 'Look at the health of the store; the step is tried again by itself.',
    retryable: true,
  },
  STORE_CERTIFICATE_REFUSED: {
    when: 'The store’s certificate is not trusted, or the store wants a client certificate.',
    safe: 'Nothing was sent to it.',
    next: 'Name the private CA under repository.tls.ca (and repository.tls.cert and key where the store asks for them).',
    retryable: false,
  },
  STORE_CREDENTIALS_MISSING: {
    when: 'The AWS SDK’s chain (environment, profile, web identity, container, instance) found no credentials or no region.',
    safe: 'Nothing was sent to the store.',
    next: 'Give this process credentials, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or an instance role, and repository.region.',
    retryable: false,
  },
  STORE_ACCESS_DENIED: {
    when: 'The store refused the credentials, or they may not do what was asked.',
    safe: unlisted,
    next: 'Allow the user s3:GetObject, PutObject, DeleteObject, ListBucket, AbortMultipartUpload, ListMultipartUploadParts and ListBucketMultipartUploads, and for aws:kms kms:GenerateDataKey and kms:Decrypt.',
    retryable: false,
  },
  STORE_BUCKET_MISSING: {
    when: 'The bucket does not exist in the store, or it lives in another region than the configured one.',
    safe: 'Nothing was stored.',
    next: 'Create the bucket, or mend repository.url and repository.region.',
    retryable: false,
  },
  STORE_KEY_REFUSED: {
    when: 'The key for encryption is unknown to the store’s KMS, is switched off, or may not be used.',
    safe: 'Nothing was stored: the store refused to keep it without that key.',
    next: 'Mend repository.encryption.kmsKeyId, enable the key, or allow kms:GenerateDataKey and kms:Decrypt on it.',
    retryable: false,
  },
  STORE_CLOCK_SKEW: {
    when: 'The clocks of this machine and of the store are too far apart for signed requests.',
    safe: 'Nothing was stored.',
    next: 'Set this machine’s clock (timedatectl set-ntp true), then run the same again.',
    retryable: false,
  },
  STORE_REFUSED: {
    when: 'The store refused a request for a reason that redis-rewind does not know, or does not support what it needs.',
    safe: unlisted,
    next: 'Read the store’s own words in the message; docs/LIMITS.md lists what a store must support.',
    retryable: false,
  },
  OBJECT_EXISTS: {
    when: 'Other bytes are already stored under a name; names are never overwritten.',
    safe: 'What is stored under the name was not touched.',
    next: 'Take a new backup: rewind backup NAME. If it repeats, two deployments write under one name.',
    retryable: false,
  },
  OBJECT_MISSING: {
    when: 'An object that should be in the repository is not there.',
    safe: 'Nothing was changed.',
    next: 'Look for expiry rules or people that remove objects, then take a new backup: rewind backup NAME',
    retryable: false,
  },
  OBJECT_DIFFERS: {
    when: 'An object in the repository has another size or checksum than what was stored.',
    safe: 'It is not restored from; other backups stand.',
    next: 'Take a new backup: rewind backup NAME. Look who writes to the store besides redis-rewind.',
    retryable: false,
  },
  OBJECT_UNREADABLE: {
    when: 'The store says that it has an object and breaks off at the same byte of it every time: what it keeps there is damaged.',
    safe: 'It is not restored from; other backups stand.',
    next: 'Look at the store’s disks and its own log, then take a new backup: rewind backup NAME',
    retryable: false,
  },
  OBJECT_TOO_LARGE: {
    when: 'An object is larger than what may be read at once, or a stream is longer than a store can take.',
    safe: 'Nothing was changed.',
    next: 'Look at the object that the message names: it is not one that redis-rewind wrote.',
    retryable: false,
  },
  UPLOAD_DAMAGED: {
    when: 'The store accepted an upload and then has it not, or has other bytes.',
    safe: 'What arrived was removed again; earlier backups stand.',
    next: 'The upload is tried again by itself. If it repeats, the store or a proxy before it loses data.',
    retryable: true,
  },
  UPLOAD_SOURCE_CHANGED: {
    when: 'The file that is uploaded is not as long as it was when it was pinned.',
    safe: unlisted,
    next: 'Take a new backup; look what else writes to the dump’s folder.',
    retryable: false,
  },
  ENCRYPTION_IGNORED: {
    when: 'The store answers 200 and keeps the object without the encryption, or under another key, than was asked for.',
    safe: 'What was stored without it was removed again; earlier backups stand.',
    next: 'Use a store with KMS, or write what it can do: repository.encryption: { sse: AES256 } or { sse: none }.',
    retryable: false,
  },
  ENCRYPTION_KEY_CHANGED: {
    when: 'The alias of the key leads to another key than at the first upload of this repository.',
    safe: 'What was just stored under the other key was removed; earlier backups stand.',
    next: 'If the change is meant: write the new key’s ARN under repository.encryption.kmsKeyId. If not: mend the alias.',
    retryable: false,
  },
  MANIFEST_INVALID: {
    when: 'A manifest, a proof or an identity in the repository cannot be read: damaged, too large, or of a newer version.',
    safe: 'The backup is not restored from; the others are listed as ever.',
    next: 'Use the newest redis-rewind; if it is damaged there too, look at the object that the message names.',
    retryable: false,
  },
} as const satisfies Record<string, ErrorEntry>;
