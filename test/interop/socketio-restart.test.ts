import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HistoryChecker } from '../faults/checker/checker.ts';
import { readAll } from '../faults/server/final-read.ts';
import { nowNs } from '../faults/server/hopping-reader.ts';
import { MortalServer } from '../faults/server/mortal-server.ts';
import { postOne } from '../faults/server/publish-wires.ts';
import { Writer } from '../faults/server/writer.ts';
import { post as postTo, ways } from './socketio-client.ts';
import { dataOf, Poller } from './socketio-poller.ts';
import { Recoverer } from './socketio-recoverer.ts';

const kills = 20;
/** After everybody is back, the server lives between nothing and this long. */
const lifeMsMax = 150;

const server = new MortalServer();
beforeAll(() => server.start());
afterAll(() => server.dispose());

const post = (channel: string, payload: string) => postTo(server.http, channel, payload);

async function restart(): Promise<void> {
  await server.kill();
  await server.start();
}

it('a session that polls continues with the next process after a kill between two polls', async () => {
  const poller = await Poller.connect(server.http);
  const acked = await poller.emit('subscribe', 'polled/*');
  expect((await poller.poll())[0]).toContain(`${acked}[{"ok":true`);
  await post('polled/1', 'read before');
  expect(dataOf(await poller.poll())).toEqual(['read before']);

  await restart();
  await post('polled/1', 'after the first');
  expect(dataOf(await poller.poll())).toEqual(['after the first']);

  await post('polled/2', 'unread');
  await restart();
  expect(dataOf(await poller.poll())).toEqual(['unread']);

  // Nothing twice, and what follows comes.
  await restart();
  await post('polled/1', 'last');
  expect(dataOf(await poller.poll())).toEqual(['last']);
});

it('a session that polls resumes after the last chunk that it fetched of a long backlog', async () => {
  const poller = await Poller.connect(server.http);
  const texts = Array.from({ length: 60 }, (_, at) => `text ${at}`);
  for (const text of texts) await post('pieces', text);
  await poller.emit('subscribe', 'pieces', { since: 'earliest' });
  const seen: unknown[] = [];
  while (seen.length < texts.length) {
    const packets = await poller.poll();
    expect(packets.length).toBeLessThanOrEqual(16);
    seen.push(...dataOf(packets));
    await restart();
  }
  expect(seen).toEqual(texts);
});

it('keeps the acknowledgement of a stored message, and an entered namespace', async () => {
  const poller = await Poller.connect(server.http);
  const acked = await poller.emit('publish', 'acked', 'once', { key: 'the only one' });
  await restart();
  const packets = await poller.poll();
  expect(packets[0]).toContain(`${acked}[{"ok":true,"offset":1,`);
  await poller.post('40/polled,{}');
  await restart();
  expect((await poller.poll())[0]).toMatch(/^40\/polled,\{"sid":/);
  await poller.post('42/polled,7["subscribe","in-namespace"]');
  await restart();
  await post('polled/in-namespace', 'prefixed');
  const seen = [...(await poller.poll())];
  if (seen.length < 2) seen.push(...(await poller.poll()));
  expect(seen[0]).toContain('43/polled,7[{"ok":true');
  expect(seen[1]).toContain('"prefixed"');
});

it('a session whose row is gone is unknown', async () => {
  const poller = await Poller.connect(server.http);
  await poller.post('1');
  await restart();
  expect(await poller.request('GET', `&sid=${poller.sid}`)).toMatchObject({
    status: 400,
    body: '{"code":1,"message":"Session ID unknown"}',
  });
});

it(
  `${kills} kills in the midst of traffic: clients on each wire come back exactly`,
  { timeout: 300_000 },
  async () => {
    const checker = new HistoryChecker({ headWithinMs: 30_000 });
    const clients = await Promise.all(
      ways.flatMap((way) =>
        [['killed/**'], ['killed/1', 'killed/2', 'killed/3']].map((filters) =>
          Recoverer.begin({ name: `${way.name} ${filters.length}`, url: server.http, filters, way, checker }),
        ),
      ),
    );
    const writer = new Writer('writer', postOne(), server.http, checker);
    const written = writer.run({
      channels: ['killed/1', 'killed/2', 'killed/3', 'killed/4'],
      batch: 2,
      messagesMax: Number.POSITIVE_INFINITY,
      pauseMs: 2,
    });
    for (let kill = 0; kill < kills; kill += 1) {
      await sleep(Math.random() * lifeMsMax);
      await restart();
      await Promise.all(clients.map((client) => client.connected()));
    }
    writer.stop();
    await written;
    checker.record({ kind: 'calm', atNs: nowNs() });
    await Promise.all(clients.map((client) => client.untilRead()));
    for (const client of clients) client.stop();
    await readAll(server.http, 'killed/**', checker);
    const { violations, deliveries, accepted } = checker.verdict();
    console.info(JSON.stringify({ kills, accepted, deliveries }));
    expect(violations).toEqual([]);
    expect(clients.flatMap(({ failures }) => failures)).toEqual([]);
    // One kill may come before a client has noticed the one before.
    for (const { recoveries } of clients) expect(recoveries).toBeGreaterThan(kills / 2);
  },
);
