import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { roundsOf } from '../../support/rounds.ts';
import { HistoryChecker } from '../checker/checker.ts';
import { readAll } from '../server/final-read.ts';
import { nowNs } from '../server/hopping-reader.ts';
import { MortalServer } from '../server/mortal-server.ts';
import { PublisherDevice } from './publisher.ts';
import { SubscriberDevice } from './subscriber.ts';

const cycles = roundsOf({ ci: 20, release: 500, budgetMs: 30_000 });
/** After the first accept of a cycle, the server lives between nothing and this long. */
const lifeMsMax = 120;
/** All subscribers must have everything within this. */
const patienceMs = 30_000;
const channels = Array.from({ length: 4 }, (_, at) => `devices/${at}`);

const server = new MortalServer();
beforeAll(() => server.start());
afterAll(() => server.dispose());

it(
  `${cycles.wanted} kills and as many cuts under QoS 1 and 2 both ways: nothing acknowledged is lost, and QoS 2 is acted on once`,
  async () => {
    const checker = new HistoryChecker({ headWithinMs: patienceMs });
    const url = server.addresses.mqtt!;
    const subscribers = [
      new SubscriberDevice({ name: 'once-5', version: 5, qos: 2, filter: 'devices/#', url, checker }),
      new SubscriberDevice({ name: 'least-5', version: 5, qos: 1, filter: 'devices/#', url, checker }),
      new SubscriberDevice({ name: 'one-5', version: 5, qos: 2, filter: channels[1]!, url, checker }),
      new SubscriberDevice({ name: 'once-4', version: 4, qos: 2, filter: 'devices/#', url }),
    ];
    for (const subscriber of subscribers) subscriber.begin();
    await Promise.all(subscribers.map(({ following }) => following));
    let wakeUp = (): void => undefined;
    const publishers = [
      new PublisherDevice({ name: 'keyed-5', version: 5, qos: 1, channels, url, checker }),
      new PublisherDevice({ name: 'twice-5', version: 5, qos: 2, channels, url, checker }),
      new PublisherDevice({ name: 'twice-4', version: 4, qos: 2, channels, url, checker }),
    ];
    for (const publisher of publishers) {
      publisher.onAccepted = () => wakeUp();
      publisher.begin();
    }
    const devices = [...subscribers, ...publishers];
    for (let cycle = 0; cycles.begin(); cycle += 1) {
      await new Promise<void>((resolve) => (wakeUp = resolve));
      await sleep(Math.random() * lifeMsMax);
      devices[cycle % devices.length]!.cut();
      await sleep(Math.random() * 20);
      await server.kill();
      await server.start();
    }
    await Promise.all(publishers.map((publisher) => publisher.finish()));
    checker.record({ kind: 'calm', atNs: nowNs() });
    const accepted = new Set(publishers.flatMap((publisher) => [...publisher.accepted]));
    const untilMs = performance.now() + patienceMs;
    const isBehind = ({ filter, values }: SubscriberDevice): boolean =>
      filter === 'devices/#' && new Set(values).size < accepted.size;
    while (subscribers.some(isBehind) && performance.now() < untilMs) await sleep(20);
    for (const device of subscribers) device.stop();
    await Promise.all(subscribers.map(({ finished }) => finished));
    const stored = await readAll(server.http, 'devices/**', checker);
    const { violations, deliveries } = checker.verdict();
    const redelivered = subscribers.map((subscriber) => subscriber.redelivered);
    console.info(
      JSON.stringify({ cycles: String(cycles), stored, accepted: accepted.size, deliveries, redelivered }),
    );
    expect(violations).toEqual([]);
    expect(devices.map(({ sessionsLost }) => sessionsLost)).toEqual(devices.map(() => 0));
    // Each reader has every accepted message once; it may also have messages without an answer.
    expect(stored).toBe(accepted.size);
    for (const { name, filter, values } of subscribers) {
      if (filter !== 'devices/#') continue;
      expect(new Set(values), name).toEqual(accepted);
      if (!name.startsWith('once')) continue;
      // What was published at QoS 1 comes at QoS 1.
      const once = values.filter((value) => value.startsWith('twice'));
      expect(once.length, name).toBe(new Set(once).size);
    }
    for (const publisher of publishers) expect(publisher.accepted.size).toBeGreaterThan(cycles.count);
    for (const device of devices) expect(device.connections).toBeGreaterThan(cycles.count / 2);
  },
  60_000 + cycles.wanted * 30_000,
);
