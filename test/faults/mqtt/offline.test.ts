import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RawClient } from '../../clients/mqtt/raw-client.ts';
import type { ServerPacket, Version } from '@everywire/wires/mqtt';
import { MortalServer } from '../server/mortal-server.ts';
import { isLong, sizeOf } from '../store/sizes.ts';
import { Device } from './device.ts';

const sessions = sizeOf({ ci: 30, release: 300 });
const members = 3;
/** Kills while everybody is away, with messages before each. */
const killsAway = sizeOf({ ci: 4, release: 100 });
/** Kills while they return, each as soon as so many have come again. */
const killsOnReturn = sizeOf({ ci: 4, release: 40 });
const messagesEach = sizeOf({ ci: 60, release: 60 });
const jobsEach = 20;
const patienceMs = sizeOf({ ci: 30_000, release: 300_000 });

const server = new MortalServer();
beforeAll(() => server.start());
afterAll(() => server.dispose());

interface Got {
  readonly text: string;
  readonly isRepeated: boolean;
}

/** Subscribes once at QoS 1, and from then on has a session that is away whenever it is. */
class AwayDevice extends Device {
  readonly #filter: string;
  readonly got: Got[] = [];
  readonly #subscribed = Promise.withResolvers<undefined>();
  #isSubscribed = false;
  onGot: () => void = () => undefined;

  constructor(name: string, version: Version, filter: string) {
    super({ name, version, url: server.addresses.mqtt! });
    this.#filter = filter;
  }

  get subscribed(): Promise<undefined> {
    return this.#subscribed.promise;
  }

  /** Leaves; `begin` comes back. */
  async leave(): Promise<void> {
    this.stop();
    await this.finished;
    this.isStopped = false;
  }

  protected async connected(client: RawClient): Promise<void> {
    if (this.#isSubscribed) return;
    if ((await client.subscribe(this.#filter, { qos: 1 })) !== 1) throw new Error(`${this.name} was refused`);
    this.#isSubscribed = true;
    this.#subscribed.resolve(undefined);
  }

  protected received(client: RawClient, packet: ServerPacket): void {
    if (packet.type !== 'publish') return;
    this.got.push({ text: packet.payload.toString(), isRepeated: packet.dup });
    client.ack('puback', packet.packetId);
    this.onGot();
  }
}

async function post(channel: string, texts: readonly string[]): Promise<void> {
  const answer = await fetch(`${server.http}/publish`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(texts.map((data) => ({ channel, type: 'text/plain', data }))),
  });
  expect(answer.status).toBe(200);
}

function series(name: string, round: number, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${name} ${round}/${index}`);
}

it(
  `${sessions} sessions and a group that are away through ${killsAway} kills, and ${killsOnReturn} more while they return: each gets everything`,
  async () => {
    const away = Array.from(
      { length: sessions },
      (_, index) =>
        new AwayDevice(`away-${index}`, index % 2 === 0 ? 4 : 5, index % 3 === 0 ? 'busy/x' : 'busy/#'),
    );
    const crew = Array.from(
      { length: members },
      (_, index) => new AwayDevice(`crew-${index}`, index % 2 === 0 ? 4 : 5, '$share/crew/jobs/#'),
    );
    const all = [...away, ...crew];
    for (const device of all) device.begin();
    await Promise.all(all.map(({ subscribed }) => subscribed));
    await Promise.all(all.map((device) => device.leave()));

    const published: string[] = [];
    const jobs: string[] = [];
    for (let round = 0; round < killsAway; round += 1) {
      const [texts, work] = [series('text', round, messagesEach), series('job', round, jobsEach)];
      await post('busy/x', texts);
      await post('jobs/new', work);
      published.push(...texts);
      jobs.push(...work);
      await server.kill();
      await server.start();
    }

    let received = 0;
    const due = published.length * sessions + jobs.length;
    const reach = (count: number): Promise<void> =>
      new Promise((resolve) => {
        for (const device of all)
          device.onGot = () => {
            if (++received >= count) resolve();
          };
      });
    for (let kill = 0; kill < killsOnReturn; kill += 1) {
      // From the first arrivals to well after the middle.
      const reached = reach(received + Math.ceil(due / (2 * killsOnReturn)));
      if (kill === 0) for (const device of all) device.begin();
      await reached;
      await server.kill();
      await server.start();
    }
    const distinct = (devices: readonly AwayDevice[]): number =>
      new Set(devices.flatMap(({ got }) => got.map(({ text }) => text))).size;
    const isWhole = (): boolean =>
      away.every((device) => distinct([device]) === published.length) && distinct(crew) === jobs.length;
    await expect.poll(isWhole, { timeout: patienceMs, interval: 50 }).toBe(true);
    for (const device of all) device.stop();
    await Promise.all(all.map(({ finished }) => finished));

    let repeats = 0;
    for (const { name, got, sessionsLost } of away) {
      const seen = new Set<string>();
      for (const { text, isRepeated } of got) {
        // Nothing comes a second time without saying so.
        if (seen.has(text)) {
          repeats += 1;
          expect(isRepeated, `${name}: ${text} came again without DUP`).toBe(true);
        }
        seen.add(text);
      }
      // A Set keeps the order of first arrivals.
      expect([...seen], name).toEqual(published);
      expect(sessionsLost, name).toBe(0);
    }
    const done = crew.flatMap(({ got }) => got.map(({ text }) => text));
    expect([...new Set(done)].sort()).toEqual([...jobs].sort());
    console.info(
      JSON.stringify({ due, repeats, jobs: jobs.length, jobsRepeated: done.length - jobs.length }),
    );
  },
  isLong ? 3_600_000 : 180_000,
);
