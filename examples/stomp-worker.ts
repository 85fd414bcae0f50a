/**
 * Works through a queue with `@stomp/stompjs`, as any STOMP client does it: each job goes to one of the workers that run,
 * and to another when one fails or dies. Start several, and send jobs from anywhere.
 *
 *     npx node examples/stomp-worker.ts ws://localhost:8080/stomp jobs
 *     curl -d 'resize 7.png' http://localhost:8080/channels/queue/jobs
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type IMessage } from '@stomp/stompjs';

const [brokerURL, queue, jobMs = '100'] = process.argv.slice(2);
if (brokerURL === undefined || queue === undefined)
  throw new Error('usage: stomp-worker.ts <url> <queue> [milliseconds a job takes]');

const client = new Client({
  brokerURL,
  reconnectDelay: 500,
  onConnect() {
    // One job at a time; if this process dies, its unacknowledged job goes to another worker.
    client.subscribe(`/queue/${queue}`, (job) => void work(job), {
      ack: 'client-individual',
      'prefetch-count': '1',
    });
    console.error(`waiting for jobs in ${queue}`);
  },
  onStompError: ({ headers, body }) => console.error(`${headers['message']}: ${body}`),
  onWebSocketClose: () => console.error('the connection is lost'),
});
client.activate();

async function work(job: IMessage): Promise<void> {
  const again = job.headers['redelivered'] === 'true' ? ' (again)' : '';
  try {
    if (job.body === '') throw new Error('there is nothing to do');
    await sleep(Number(jobMs));
    console.log(`${job.body}${again}`);
    job.ack();
  } catch (error) {
    console.error(`gave up: ${String(error)}`);
    // Without requeue:false it would come again, to this worker or another.
    job.nack({ requeue: 'false' });
  }
}
