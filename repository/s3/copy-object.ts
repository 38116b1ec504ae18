import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { planCopy } from './part-plan.ts';
import type { S3Store } from './store.ts';

/** Copies within the store, without the bytes coming here, encrypted as every upload. Errors are the SDK's. */
export async function copyObject(store: S3Store, from: string, to: string, sizeBytes: number): Promise<void> {
  const source = store.object(from);
  const CopySource = `${source.Bucket}/${source.Key.split('/').map(encodeURIComponent).join('/')}`;
  const ranges = planCopy(sizeBytes);
  if (ranges.length === 1) {
    await store.client.send(
      new CopyObjectCommand({ ...store.object(to), ...store.asked, CopySource, MetadataDirective: 'COPY' }),
    );
    return;
  }
  // Some stores (MinIO) cannot copy parts into an upload that keeps checksums.
  const { UploadId } = await store.client.send(
    new CreateMultipartUploadCommand({ ...store.object(to), ...store.asked }),
  );
  const upload = { ...store.object(to), UploadId };
  const Parts: CompletedPart[] = [];
  for (const [index, range] of ranges.entries()) {
    const PartNumber = index + 1;
    const { CopyPartResult } = await store.client.send(
      new UploadPartCopyCommand({
        ...upload,
        PartNumber,
        CopySource,
        CopySourceRange: `bytes=${range.start}-${range.end - 1}`,
      }),
    );
    Parts.push({ PartNumber, ETag: CopyPartResult?.ETag });
  }
  await store.client.send(
    new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts }, IfNoneMatch: '*' }),
  );
}
