import { NativeConnection, Worker } from '@temporalio/worker';
import { gateTestActivities } from './gate-activities.ts';

/** A worker as a process of its own, so that it can be killed. Arguments: address, namespace, task queue, bundle. */
const [address, namespace, taskQueue, codePath] = process.argv.slice(2) as [string, string, string, string];
const worker = await Worker.create({
  connection: await NativeConnection.connect({ address }),
  namespace,
  taskQueue,
  workflowBundle: { codePath },
  activities: { ...gateTestActivities, readAnswers: async () => ({ answers: [] }) },
});
// It ends with whoever started it.
process.on('disconnect', () => process.exit());
process.send?.('started');
await worker.run();
