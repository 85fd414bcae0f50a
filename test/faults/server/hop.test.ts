import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { roundsOf } from '../../support/rounds.ts';
import { HistoryChecker } from '../checker/checker.ts';
import { placeBeforeAll, readAll } from './final-read.ts';
import { HoppingReader, nowNs } from './hopping-reader.ts';
import { MortalServer } from './mortal-server.ts';
import { everywireV1, postMany, postOne } from './publish-wires.ts';
import { driverWires } from './driver-wires.ts';
import { readWires } from './read-wires.ts';
import { untilAllRead } from './until-all-read.ts';
import { Writer } from './writer.ts';

const isLong = process.env['EVERYWIRE_LONG'] === '1';
const messagesMax = isLong ? 1_000_000 : 40_000;
const hopsMax = isLong ? 5_000 : 500;
const killsMax = isLong ? 100 : 6;
/** Where the disk is slow, a part of all three, in proportion. */
const hops = roundsOf({ ci: hopsMax, release: hopsMax, budgetMs: 45_000 });
const readersOfAll = 7;
const readersOfOne = 6;
/** Each within retention, which keeps 10,000 messages. */
const channelCount = Math.max(readersOfOne, Math.ceil(messagesMax / 5_000));
const channels = Array.from({ length: channelCount }, (_, at) => `hop/${at}`);
const batch = 500;
/** Writing is spread out so that hops and kills fall into it. */
const pauseMs = 120;

const server = new MortalServer();
const wires = [...readWires, ...driverWires(() => server.addresses)];
beforeAll(() => server.start());
afterAll(() => server.dispose());

it(
  `${messagesMax} messages, ${hopsMax} changes of transport, cuts and kills: nothing lost, repeated or reordered`,
  async () => {
    const checker = new HistoryChecker({ headWithinMs: 30_000 });
    const { http } = server;
    const from = await placeBeforeAll(http, channels[0]!, checker);
    const readers = [
      ...Array.from({ length: readersOfAll }, () => 'hop/**'),
      ...Array.from({ length: readersOfOne }, (_, at) => channels[at]!),
    ].map(
      (filter, at) =>
        new HoppingReader({
          name: `reader ${at}`,
          filter,
          http,
          from,
          wire: wires[at % wires.length]!,
          checker,
        }),
    );
    const bulk = new Writer('bulk', postMany(), http, checker);
    const singles = [
      new Writer('post', postOne(), http, checker),
      new Writer('v1', everywireV1(), http, checker),
    ];
    const written = [
      bulk.run({ channels, batch, messagesMax, pauseMs }),
      ...singles.map((writer) => writer.run({ channels, batch: 1, messagesMax: 2_000, pauseMs: 20 })),
    ];
    const writing = { isDone: false };
    void Promise.all(written).finally(() => (writing.isDone = true));
    let kills = 0;
    let isCutShort = false;
    while (hops.begin() || !writing.isDone) {
      if (!isCutShort && hops.isOverTime) {
        isCutShort = true;
        for (const writer of [bulk, ...singles]) writer.stop();
      }
      const reader = readers[Math.floor(Math.random() * readers.length)]!;
      reader.hop(wires[Math.floor(Math.random() * wires.length)]!, Math.random() < 0.5 ? 'fin' : 'rst');
      if (kills < killsMax && hops.count >= ((kills + 1) * hopsMax) / (killsMax + 1)) {
        kills += 1;
        await server.kill();
        await server.start();
      }
      await sleep(10 + Math.random() * 40);
    }
    await Promise.all(written);
    checker.record({ kind: 'calm', atNs: nowNs() });
    await untilAllRead(http, 'hop/**', readers);
    for (const reader of readers) reader.stop();
    await Promise.all(readers.map(({ finished }) => finished));
    const stored = await readAll(http, 'hop/**', checker);
    const { violations, deliveries } = checker.verdict();
    console.info(
      JSON.stringify({
        stored,
        hops: String(hops),
        kills,
        deliveries,
        startsMs: server.startsMs.map(Math.round),
      }),
    );
    expect(violations).toEqual([]);
    expect(stored).toBeGreaterThanOrEqual(isCutShort ? bulk.accepted : messagesMax);
    expect(kills).toBeGreaterThanOrEqual(isCutShort ? 1 : killsMax);
    expect(deliveries).toBeGreaterThanOrEqual(stored * readersOfAll);
  },
  isLong ? 7_200_000 : 1_200_000,
);
