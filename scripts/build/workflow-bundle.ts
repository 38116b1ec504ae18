import { join, sep } from 'node:path';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';

const mapMark = '//# sourceMappingURL=data:application/json;base64,';

/**
 * The workflows as one script, as a worker of the published package loads it. A worker insists on a source map inside; this one
 * names files as they lie in the repository and leaves their text out, so that nothing of the machine that built it is published.
 *
 * @param root the checkout
 */
export async function bundleWorkflows(root: string): Promise<string> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: join(root, 'workflows', 'index.ts'),
    payloadConverterPath: join(root, 'workflows', 'payload-converter.ts'),
    logger: new DefaultLogger('WARN'),
  });
  const [script, map] = splitAtMap(code);
  const { sourcesContent: _texts, ...rest } = map;
  const published = { ...rest, sources: map.sources.map((source) => source.replaceAll(join(root, sep), '')) };
  return `${script}${mapMark}${Buffer.from(JSON.stringify(published)).toString('base64')}\n`;
}

function splitAtMap(code: string): [script: string, map: { sources: string[]; sourcesContent?: string[] }] {
  const at = code.lastIndexOf('//# sourceMappingURL=');
  const base64 = code.slice(code.indexOf('base64,', at) + 'base64,'.length).trimEnd();
  if (at < 0 || base64 === '')
    throw new Error('the workflow bundle has no source map inside, which a worker insists on');
  return [code.slice(0, at), JSON.parse(Buffer.from(base64, 'base64').toString('utf8'))];
}
