import { afterEach, describe, expect, it } from 'vitest';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';
import { defaultLimits } from '../../../src/config/limits.ts';
import { KindRows } from '../../../src/core/durable/kind-rows.ts';
import { createMqttTransport } from '../../../src/transports/mqtt/transport.ts';
import { sessionKind } from '../../../src/transports/mqtt/sessions.ts';
import { MemoryRecords } from '../../../src/stores/memory/records.ts';
import { openSession, publishText, startHub } from '../../core/hub-rig.ts';
import { startOnTcp, type TcpRig } from '../tcp-rig.ts';

/** Rows as version 0.1 wrote them, of the client id `client/ü` without a subject. */

const key = '-yNu-kPqx9-tjfCGLgZO_XUvmPKao0TljSj_go4t7YQ';
const tables = { session: 'mqtt-sessions', window: 'mqtt-windows', received: 'mqtt-received' } as const;
const options = { noLocal: false, retainAsPublished: false, withCursor: false };
const subscriptions = [
  subscription(1, 'topic/a', 1),
  subscription(2, 'topic/b/#', 2),
  subscription(3, 'topic/r', 1),
  subscription(4, 'topic/c', 0),
  subscription(5, '$share/g/topic/s', 1),
];
const session = {
  format: 1,
  clientId: 'client/ü',
  grant: { isAdmin: true },
  version: 5,
  expirySeconds: 60,
  presence: { kind: 'away', sinceMs: 1796090288595 },
  maybeSentThroughSeq: 0,
  subscriptions,
  will: {
    topic: 'topic/will',
    qos: 1,
    retain: false,
    payload: '/wA=',
    properties: { contentType: 'x/y', willDelayIntervalSeconds: 30, correlationData: 'AQI=' },
  },
};
const window = {
  format: 1,
  progress: [
    [1, ['1zuwe98.2.71e0bbadb3f9fae5', ['1zuwe98.4.2d4ab4d62f8b15e8'], 4], null],
    [2, ['1zuwe98.5.452e4d7178788c63', [], 6], null],
    [3, ['1zuwe98.7.3795525f548f834a', [], 1], [2, 9]],
  ],
  inFlight: [
    [1, 1, 1, 3, 0, 'retained', 'topic/r', 1796090288358],
    [3, 1, 3, 1, 0],
    [5, 2, 5, 2, 1],
    [6, 2, 6, 2, 0],
  ],
  lastPacketId: 6,
};

function subscription(no: number, filter: string, qos: number): object {
  const target = { kind: 'log', filter, isShared: filter.startsWith('$share/') };
  return { no, filter, target, options: { qos, ...options } };
}

function rowsOf(head: object, windowRow: object) {
  return [
    { table: tables.session, key, value: Buffer.from(JSON.stringify(head)) },
    { table: tables.window, key, value: Buffer.from(JSON.stringify(windowRow)) },
    { table: tables.received, key: `${key}/7`, value: Buffer.from([1]) },
  ];
}

const quiet = (): void => undefined;
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet };

async function read(head: object, windowRow: object = window) {
  const records = new MemoryRecords();
  await records.write(rowsOf(head, windowRow));
  const rows = new KindRows(sessionKind(defaultLimits), records, log);
  const loaded = await rows.load(key, 1_000);
  return { loaded, unreadable: rows.unreadable };
}

describe('rows of version 0.1 are read', () => {
  it('whole', async () => {
    const { loaded, unreadable } = await read(session);
    expect(unreadable).toBe(0);
    const { row, found } = loaded!;
    expect(row).toMatchObject({
      presence: 'away',
      sinceMs: 1796090288595,
      keepMs: 60_000,
      subject: undefined,
    });
    expect(found.rights).toEqual({ isAdmin: true, claims: undefined });
    expect(found.state).toEqual({
      clientId: 'client/ü',
      subscriptions,
      will: {
        ...session.will,
        payload: Buffer.from([0xff, 0]),
        properties: { ...session.will.properties, correlationData: Buffer.from([1, 2]) },
      },
    });
    expect(found.subscriptions.map(({ id, progress }) => [id, progress])).toEqual([
      ['1', progress('1zuwe98.2.71e0bbadb3f9fae5', ['1zuwe98.4.2d4ab4d62f8b15e8'], 4)],
      ['2', progress('1zuwe98.5.452e4d7178788c63', [], 6)],
      ['3', progress('1zuwe98.7.3795525f548f834a', [], 1)],
    ]);
    const { inFlight, lastPacketId } = window;
    expect(found.window).toEqual({ retained: [[3, 2, 9]], inFlight, lastPacketId });
    expect([...found.parts.keys()]).toEqual(['7']);
  });

  it('of a session that never expires, and of one that its server sent away', async () => {
    const { loaded } = await read({ ...session, expirySeconds: 4294967295, presence: { kind: 'drained' } });
    expect(loaded!.row).toMatchObject({ keepMs: defaultLimits.mqttSessionIdleMs, presence: 'drained' });
  });

  it('of a server that was killed: marks messages that it may have sent', async () => {
    const { loaded: open } = await read({ ...session, presence: { kind: 'here' } });
    expect(open!.found.subscriptions.map(({ progress: one }) => one.deliveredWatermark)).toEqual([
      1_000, 1_000, 1_000,
    ]);
    const { loaded: marked } = await read({ ...session, maybeSentThroughSeq: 5 });
    expect(marked!.found.subscriptions.map(({ progress: one }) => one.deliveredWatermark)).toEqual([5, 6, 5]);
  });

  it.each<[string, object]>([
    ['another format', { format: 2 }],
    ['another presence', { presence: { kind: 'gone' } }],
    ['a subscription without a filter', { subscriptions: [{ no: 1 }] }],
    ['a will without a payload', { will: { topic: 'w' } }],
  ])('but not with %s', async (_what, changed) => {
    expect(await read({ ...session, ...changed })).toEqual({ loaded: undefined, unreadable: 1 });
  });

  it.each<[string, object]>([
    ['another format', { format: 2 }],
    ['an invalid cursor', { progress: [[1, ['nothing', [], 4], null]] }],
    ['a packet without a seq', { inFlight: [[1, 1]] }],
  ])('and without a window that has %s', async (_what, changed) => {
    const { loaded, unreadable } = await read(session, { ...window, ...changed });
    expect([loaded!.found.window, unreadable]).toEqual([undefined, 1]);
  });
});

function progress(cursor: string, acksAboveWatermark: readonly string[], deliveredWatermark: number): object {
  return { cursor, acksAboveWatermark, deliveredWatermark };
}

let rig: TcpRig | undefined;
afterEach(async () => {
  await rig?.stop();
  rig = undefined;
});

it('a session that version 0.1 left continues', async () => {
  const hub = await startHub();
  const writer = await openSession(hub);
  const cursors: string[] = [];
  for (const text of ['1', '2', '3']) cursors.push((await publishText(writer, 'topic/a', text)).cursor);
  const seq = hub.head.seq;
  // The first and the third were acknowledged; the second was sent with packet id 3.
  const left = {
    ...window,
    progress: [[1, [cursors[0], [cursors[2]], seq], null]],
    inFlight: [
      [3, 1, seq - 1, 1, 0],
      [5, 2, 1, 2, 1],
    ],
  };
  const head = { ...session, will: undefined, presence: { kind: 'away', sinceMs: Date.now() } };
  await hub.store.records.write(rowsOf(head, left));
  rig = await startOnTcp(createMqttTransport, hub);
  await publishText(writer, 'topic/a', '4');
  const { client, connack } = await RawClient.connected(rig.url, {
    version: 5,
    clientId: 'client/ü',
    cleanStart: false,
    properties: { sessionExpiryIntervalSeconds: 60 },
  });
  expect(connack.sessionPresent).toBe(true);
  expect(await client.next('pubrel')).toMatchObject({ packetId: 5 });
  expect(await client.next('publish')).toMatchObject({ packetId: 3, dup: true, payload: Buffer.from('2') });
  expect(await client.next('publish')).toMatchObject({ packetId: 7, dup: false, payload: Buffer.from('4') });
  // Its packet id is known: it is not stored again.
  client.publish('topic/a', 'again', { qos: 2, packetId: 7, dup: true });
  expect(await client.next('pubrec')).toMatchObject({ packetId: 7 });
  await client.settled();
  expect(client.packets.filter(({ type }) => type === 'publish')).toEqual([]);
  const written = async (table: string): Promise<unknown> =>
    JSON.parse((await hub.store.records.get(table, key))!.toString());
  expect(await written(tables.session)).toMatchObject({ durable: 1, presence: 'open', keepMs: 60_000 });
  client.cut();
  await client.closed;
});
