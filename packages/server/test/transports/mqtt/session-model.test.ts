import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './clients.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';

/** G9: a session delivers what a reference with an unbounded queue would, through all faults of its connections. */

let server: TestServer;
let writer: RawClient;
beforeAll(async () => {
  server = await startTestServer({ store: 'memory:' });
  writer = (await RawClient.connected(server.mqtt!)).client;
});
afterAll(async () => {
  writer.disconnect();
  await server.stop();
});

type Step =
  | { readonly kind: 'publish'; readonly qos: 1 | 2 }
  /** Receives one, and goes through its acknowledgements, half of them, or none. */
  | { readonly kind: 'receive'; readonly how: 'done' | 'half' | 'none' }
  | { readonly kind: 'cut' };

const qos = fc.constantFrom(1 as const, 2 as const);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('publish' as const), qos }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('receive' as const),
      how: fc.constantFrom('done' as const, 'half' as const, 'none' as const),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'cut' } as const) },
);

let runs = 0;

/** The client's half: the messages that it processed, with the packet ids of QoS 2 as the standard requires. */
class Subscriber {
  readonly name = `model/${(runs += 1)}`;
  readonly #version: 4 | 5;
  readonly #received = new Set<number>();
  readonly acted: string[] = [];
  client!: RawClient;

  constructor(version: 4 | 5) {
    this.#version = version;
  }

  async open(receiveMaximum: number): Promise<boolean> {
    const { client, connack } = await RawClient.connected(server.mqtt!, {
      version: this.#version,
      clientId: this.name,
      cleanStart: false,
      ...(this.#version === 5 ? { properties: { sessionExpiryIntervalSeconds: 60, receiveMaximum } } : {}),
    });
    this.client = client;
    return connack.sessionPresent;
  }

  async cut(): Promise<void> {
    await this.client.settled();
    this.client.cut();
    await this.client.closed;
  }

  /** False when nothing is there. */
  receive(how: 'done' | 'half' | 'none'): boolean {
    const at = this.client.packets.findIndex(({ type }) => type === 'publish' || type === 'pubrel');
    const packet = this.client.packets.splice(at, at < 0 ? 0 : 1)[0];
    if (packet === undefined) return false;
    if (packet.type === 'pubrel') {
      this.#received.delete(packet.packetId);
      if (how !== 'none') this.client.ack('pubcomp', packet.packetId);
    } else if (packet.type === 'publish') {
      const isKnown = packet.qos === 2 && this.#received.has(packet.packetId);
      if (!isKnown) this.acted.push(packet.payload.toString());
      if (packet.qos === 2) this.#received.add(packet.packetId);
      if (how === 'none') return true;
      if (packet.qos === 1) this.client.ack('puback', packet.packetId);
      else this.client.ack('pubrec', packet.packetId);
    }
    return true;
  }
}

test.each([
  [4, 2],
  [5, 2],
  [5, 1],
] as const)(
  'version %d, granted QoS %d',
  async (version, granted) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 60 }),
        fc.constantFrom(1, 3, 100),
        async (steps, receiveMaximum) => {
          const subscriber = new Subscriber(version);
          await subscriber.open(receiveMaximum);
          expect(await subscriber.client.subscribe(subscriber.name, { qos: granted })).toBe(granted);
          const published: { readonly value: string; readonly qos: 1 | 2 }[] = [];
          for (const one of steps) {
            if (one.kind === 'publish') {
              const value = String(published.length);
              published.push({ value, qos: granted === 1 ? 1 : one.qos });
              await writer.deliver(subscriber.name, value, { qos: one.qos });
            } else if (one.kind === 'receive') {
              await subscriber.client.settled();
              subscriber.receive(one.how);
            } else {
              await subscriber.cut();
              expect(await subscriber.open(receiveMaximum)).toBe(true);
            }
          }
          // What was not acknowledged only comes again after a return.
          await subscriber.cut();
          await subscriber.open(receiveMaximum);
          const values = published.map(({ value }) => value);
          const isComplete = (): boolean => values.every((value) => subscriber.acted.includes(value));
          while (!isComplete()) if (!subscriber.receive('done')) await subscriber.client.anything();
          do await subscriber.client.settled();
          while (subscriber.receive('done'));
          for (const { value, qos: at } of published) {
            const times = subscriber.acted.filter((acted) => acted === value).length;
            if (at === 2) expect(times, value).toBe(1);
            else expect(times, value).toBeGreaterThan(0);
          }
          const firsts = subscriber.acted.filter((value, at) => subscriber.acted.indexOf(value) === at);
          expect(firsts).toEqual(values);
          subscriber.client.cut();
        },
      ),
      { numRuns: 170 },
    );
  },
  120_000,
);
