// Makes the bucket that the configuration names, in a store that is part of the deployment; where it is already, nothing happens.
// A store of a company's own has its buckets made by whoever owns it.
import { readFileSync } from 'node:fs';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { parse } from 'yaml';

const { repository } = parse(readFileSync(process.env.REWIND_CONFIG, 'utf8'));
const Bucket = new URL(repository.url).host;
const client = new S3Client({
  region: repository.region,
  endpoint: repository.endpoint,
  forcePathStyle: repository.pathStyle,
});

try {
  await client.send(new CreateBucketCommand({ Bucket }));
  console.log(`bucket ${Bucket}: made`);
} catch (error) {
  if (/^BucketAlready(OwnedByYou|Exists)$/.test(error.name)) console.log(`bucket ${Bucket}: there`);
  else {
    console.error(`bucket ${Bucket}: ${repository.endpoint} refused it: ${error.name}: ${error.message}`);
    process.exitCode = 1;
  }
}
