import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HistoryChecker } from '../faults/checker/checker.ts';
import { readAll } from '../faults/server/final-read.ts';
import { nowNs } from '../faults/server/hopping-reader.ts';
import { postOne } from '../faults/server/publish-wires.ts';
import { Writer } from '../faults/server/writer.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { ways } from './socketio-client.ts';
import { startProxy } from './socketio-proxy.ts';
import { Recoverer } from './socketio-recoverer.ts';

const recoveriesMin = 500;
const cuttingMsMax = 100_000;
/**
 * A connection cut while the library goes over from polling to WebSocket leaves it with a poll that is paused for good:
 * it notices at its ping time-out (25 s and 20 s), and comes back then.
 */
const headWithinMs = 60_000;
/** From one cut to the next: often before the client is back. */
const betweenMsMax = 60;
const channels = ['cut/1', 'cut/2', 'cut/3', 'cut/4'];

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({});
});
afterAll(() => server.stop());

it(
  `${recoveriesMin} recoveries of connections cut at any instant: nothing lost, repeated or reordered`,
  { timeout: 240_000 },
  async () => {
    const checker = new HistoryChecker({ headWithinMs });
    const clients = await Promise.all(
      ways
        .flatMap((way) => [['cut/**'], ['cut/1', 'cut/2', 'cut/3']].map((filters) => ({ way, filters })))
        .map(async ({ way, filters }) => {
          const proxy = await startProxy(server.url, () => sleep(5));
          const name = `${way.name} ${filters.length}`;
          return { proxy, client: await Recoverer.begin({ name, url: proxy.url, filters, way, checker }) };
        }),
    );
    const writer = new Writer('writer', postOne(), server.url, checker);
    const written = writer.run({ channels, batch: 3, messagesMax: Number.POSITIVE_INFINITY, pauseMs: 3 });
    const recovered = (): number => clients.reduce((sum, { client }) => sum + client.recoveries, 0);
    const untilMs = performance.now() + cuttingMsMax;
    await Promise.all(
      clients.map(async ({ proxy, client }) => {
        while (recovered() < recoveriesMin && performance.now() < untilMs) {
          await sleep(Math.random() * betweenMsMax);
          proxy.cut();
          // Some cuts come before it is back.
          if (Math.random() < 0.7) await client.connected();
        }
        await client.connected();
      }),
    );
    writer.stop();
    await written;
    checker.record({ kind: 'calm', atNs: nowNs() });
    await Promise.all(clients.map(({ client }) => client.untilRead()));
    for (const { client, proxy } of clients) {
      client.stop();
      proxy.stop();
    }
    await readAll(server.url, 'cut/**', checker);
    const { violations, deliveries, accepted } = checker.verdict();
    const recoveries = clients.map(({ client }) => client.recoveries);
    console.info(JSON.stringify({ accepted, deliveries, recoveries }));
    expect(violations).toEqual([]);
    expect(clients.flatMap(({ client }) => client.failures)).toEqual([]);
    expect(recovered()).toBeGreaterThanOrEqual(recoveriesMin);
  },
);
