import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { roundsOf } from '../../support/rounds.ts';
import { HistoryChecker } from '../checker/checker.ts';
import { placeBeforeAll, readAll } from './final-read.ts';
import { HoppingReader, nowNs } from './hopping-reader.ts';
import { MortalServer } from './mortal-server.ts';
import { postOne } from './publish-wires.ts';
import { DurableReader } from './stomp-durable-reader.ts';
import { stompPublishWire, stompReadWire } from './stomp-wires.ts';
import { untilAllRead } from './until-all-read.ts';
import { Writer } from './writer.ts';

const clientKills = roundsOf({ ci: 500, release: 10_000, budgetMs: 20_000 });
const serverKills = roundsOf({ ci: 20, release: 500, budgetMs: 25_000 });
const betweenKillsMsMax = 30;
const lifeMsMax = 60;
const channels = Array.from({ length: 20 }, (_, at) => `stomp-kill/${at}`);
const wire = stompReadWire('stomp');

let server: MortalServer | undefined;
afterEach(() => server?.dispose());

interface Rig {
  readonly checker: HistoryChecker;
  readonly readers: readonly (HoppingReader | DurableReader)[];
  readonly writers: readonly Writer[];
  readonly written: Promise<unknown>;
  /** Resolves with the next publish that is accepted. */
  accepted(): Promise<void>;
}

async function begin(http: string): Promise<Rig> {
  const checker = new HistoryChecker({ headWithinMs: 30_000 });
  const from = await placeBeforeAll(http, 'stomp-kill/0', checker);
  const hopping = ['stomp-kill/**', 'stomp-kill/1'].map(
    (filter) => new HoppingReader({ name: `plain ${filter}`, filter, http, from, wire, checker }),
  );
  const durable = ['stomp-kill/**', 'stomp-kill/2'].map(
    (filter) => new DurableReader(`durable ${filter}`, filter, http, from, checker),
  );
  await Promise.all(durable.map(({ started }) => started));
  let wakeUp = (): void => undefined;
  const writers = [
    new Writer('stomp one', stompPublishWire(), http, checker),
    new Writer('stomp many', stompPublishWire(), http, checker),
    new Writer('post', postOne(), http, checker),
  ];
  const written = Promise.all(
    writers.map((writer, at) =>
      writer.run({
        channels,
        batch: at === 1 ? 10 : 1,
        messagesMax: Number.POSITIVE_INFINITY,
        pauseMs: 4,
        onAccepted: () => wakeUp(),
      }),
    ),
  );
  return {
    checker,
    readers: [...hopping, ...durable],
    writers,
    written,
    accepted: () => new Promise((resolve) => (wakeUp = resolve)),
  };
}

/** Lets everybody read to the end, and judges. */
async function judge(http: string, { checker, readers, writers, written }: Rig): Promise<void> {
  for (const writer of writers) writer.stop();
  await written;
  checker.record({ kind: 'calm', atNs: nowNs() });
  await untilAllRead(http, 'stomp-kill/**', readers as readonly HoppingReader[]);
  for (const reader of readers) reader.stop();
  await Promise.all(readers.map(({ finished }) => finished));
  const stored = await readAll(http, 'stomp-kill/**', checker);
  const { violations, deliveries, accepted } = checker.verdict();
  const repeated = readers.map((reader) => (reader instanceof DurableReader ? reader.repeated : 0));
  console.info(JSON.stringify({ stored, accepted, deliveries, repeated }));
  expect(violations).toEqual([]);
  for (const writer of writers) expect(writer.accepted).toBeGreaterThan(0);
  for (const reader of readers) expect(reader.delivered).toBeGreaterThan(0);
}

it(
  `${clientKills.wanted} clients killed in the midst of traffic: each recovers exactly, by its cursor or by the server's`,
  async () => {
    server = new MortalServer();
    await server.start();
    const { http } = server;
    const rig = await begin(http);
    for (let kill = 0; clientKills.begin(); kill += 1) {
      const reader = rig.readers[kill % rig.readers.length]!;
      if (reader instanceof DurableReader) reader.kill();
      else reader.hop(wire, Math.random() < 0.5 ? 'rst' : 'fin');
      await sleep(Math.random() * betweenKillsMsMax);
    }
    console.info(`clients killed: ${String(clientKills)}`);
    await judge(http, rig);
  },
  60_000 + clientKills.wanted * 2_000,
);

it(
  `${serverKills.wanted} kills of the server: nothing accepted is lost, and durable subscriptions resume at their positions`,
  async () => {
    server = new MortalServer();
    await server.start();
    const { http } = server;
    const rig = await begin(http);
    while (serverKills.begin()) {
      await rig.accepted();
      await sleep(Math.random() * lifeMsMax);
      await server.kill();
      await server.start();
    }
    console.info(`servers killed: ${String(serverKills)}`);
    await judge(http, rig);
  },
  60_000 + serverKills.wanted * 30_000,
);
