import type { PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3';

/**
 * Leaves the bytes of a part, or of a large object, out of the request's signature. The request carries their CRC-32, which is signed and which the
 * store checks; TLS guards the way there, and the proof compares the SHA-256 of all bytes. Another SHA-256 of each part,
 * here and in the store, was a quarter of an upload's processor time.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
export function withUnsignedBody<C extends PutObjectCommand | UploadPartCommand>(command: C): C {
  // Either has the same stack but for the types of what goes through it.
  (command as UploadPartCommand).middlewareStack.add(
    (next) => (args) => {
      (args.request as { headers: Record<string, string> }).headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
      return next(args);
    },
    { step: 'build', name: 'unsignedBody' },
  );
  return command;
}
