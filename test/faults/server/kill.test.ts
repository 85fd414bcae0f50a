import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { roundsOf } from '../../support/rounds.ts';
import { HistoryChecker } from '../checker/checker.ts';
import { placeBeforeAll, readAll } from './final-read.ts';
import { HoppingReader, nowNs } from './hopping-reader.ts';
import { MortalServer } from './mortal-server.ts';
import { everywireV1, postMany, postOne, rawWebSocket } from './publish-wires.ts';
import { driverWires } from './driver-wires.ts';
import { readWires } from './read-wires.ts';
import { untilAllRead } from './until-all-read.ts';
import { Writer } from './writer.ts';

const cycles = roundsOf({ ci: 30, release: 1_000, budgetMs: 40_000 });
/** After the first accept of a cycle, the server lives between nothing and this long. */
const lifeMsMax = 50;
const publishPaths = [
  { make: postOne, batch: 1, pauseMs: 1 },
  { make: postMany, batch: 20, pauseMs: 1 },
  // Without answers to wait for, it would fill its channel beyond retention.
  { make: rawWebSocket, batch: 1, pauseMs: 20 },
  { make: everywireV1, batch: 5, pauseMs: 1 },
];
/** Enough that none outgrows retention. */
const channels = Array.from({ length: 20 }, (_, at) => `kill/${at}`);
/** A raw connection is one channel. */
const rawChannels = ['kill/raw'];

const server = new MortalServer();
const wires = [...readWires, ...driverWires(() => server.addresses)];
beforeAll(() => server.start());
afterAll(() => server.dispose());

it(
  `${cycles.wanted} kills in the midst of publishing on every path: what was accepted is there, and every reader has it`,
  async () => {
    const checker = new HistoryChecker({ headWithinMs: 30_000 });
    const { http } = server;
    const from = await placeBeforeAll(http, 'kill/0', checker);
    const readers = wires.flatMap((wire) =>
      ['kill/**', 'kill/1'].map(
        (filter) => new HoppingReader({ name: `${wire.name} ${filter}`, filter, http, from, wire, checker }),
      ),
    );
    let wakeUp = (): void => undefined;
    const writers = publishPaths.map(({ make, batch, pauseMs }) => {
      const wire = make();
      const writer = new Writer(wire.name, wire, http, checker);
      const written = writer.run({
        channels: wire.isAnswered ? channels : rawChannels,
        batch,
        messagesMax: Number.POSITIVE_INFINITY,
        pauseMs,
        onAccepted: () => wakeUp(),
      });
      return { writer, written };
    });
    while (cycles.begin()) {
      await new Promise<void>((resolve) => (wakeUp = resolve));
      await sleep(Math.random() * lifeMsMax);
      await server.kill();
      await server.start();
    }
    for (const { writer } of writers) writer.stop();
    await Promise.all(writers.map(({ written }) => written));
    checker.record({ kind: 'calm', atNs: nowNs() });
    await untilAllRead(http, 'kill/**', readers);
    for (const reader of readers) reader.stop();
    await Promise.all(readers.map(({ finished }) => finished));
    const stored = await readAll(http, 'kill/**', checker);
    const { violations, deliveries, accepted } = checker.verdict();
    const startMsMax = Math.round(Math.max(...server.startsMs));
    console.info(JSON.stringify({ cycles: String(cycles), stored, accepted, deliveries, startMsMax }));
    expect(violations).toEqual([]);
    for (const { writer } of writers) expect(writer.accepted).toBeGreaterThan(cycles.count / 10);
    for (const reader of readers) expect(reader.delivered).toBeGreaterThan(0);
  },
  60_000 + cycles.wanted * 30_000,
);
