/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment, @typescript-eslint/no-misused-spread --
   the library declares plain options and headers as classes */
import { Client as StompClient } from '@stomp/stompjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { connect, type Client } from '../../../packages/server/test/transports/mqtt/clients.ts';
import { has, type Addresses, type TransportDriver } from '../../drivers/driver.ts';
import { drivers } from '../../drivers/index.ts';
import { startTestServer } from '../../support/server.ts';
import { testSecret } from '../../support/tokens.ts';
import { Cell, expectRefused, payloadsOf, SecuredServer, take, text } from './cell.ts';

/**
 * The token alone decides the subject of a client (T9 to T11). The token tests of MQTT, STOMP and Socket.IO show that the
 * client id of another subject names another session. They also test wills (T18) and sessions that come back (T14).
 */

let server: SecuredServer;
beforeAll(async () => {
  server = await SecuredServer.start();
});
afterAll(() => server.stop());

const everything = { subscribe: ['**'], publish: ['**'] };
const named = drivers.map((driver) => ({ name: driver.name, driver }));
const cellOf = (driver: TransportDriver, rule: string): Cell => new Cell(server, rule, driver);

describe.each(named)('by $name', ({ driver }) => {
  it('a client without a token is refused (T9)', async () => {
    const anonymous = { ...server.asAdmin, token: undefined };
    await expect(driver.read(anonymous, 'anywhere')).rejects.toMatchObject({ code: 'unauthorized' });
    if (driver.publish !== undefined)
      await expect(driver.publish(anonymous, 'anywhere', text('no'))).rejects.toMatchObject({
        code: 'unauthorized',
      });
  });

  it('a cursor of another subject is a position, and gives no rights (T10)', async () => {
    const cell = cellOf(driver, 'cursor');
    const { base } = cell;
    const anns = await cell.as({ subscribe: [`${base}/ann`] });
    const bobs = await cell.as({ sub: cell.subject('bob'), subscribe: [`${base}/bob`] });
    const { cursor } = await cell.publish(`${base}/ann`, 'of ann');
    await cell.publish(`${base}/ann`, 'of ann, too');
    await cell.publish(`${base}/bob`, 'of bob');
    await expectRefused(cell, driver.read(bobs, `${base}/ann`, { after: cursor }), 'forbidden');
    for (const [as, filter, payload] of [
      [bobs, `${base}/bob`, 'of bob'],
      [anns, `${base}/ann`, 'of ann, too'],
    ] as const) {
      const reader = await driver.read(as, filter, { after: cursor });
      expect(payloadsOf(await take(reader, 1))).toEqual([payload]);
      reader.close();
    }
  });
});

/** Names of headers that a receiver on some wire would take for the server's word. */
const reserved = [
  'everywire-from',
  'Everywire-From',
  'EVERYWIRE-FROM',
  'everywire-cursor',
  'everywire-event',
  'everywire-gap',
  'message-id',
  'Message-Id',
  'destination',
  'subscription',
  'ack',
  'redelivered',
  'cursor',
  'offset',
] as const;

/** What they are to a publisher of some transports: words to the server. */
const instructions: Readonly<Record<string, RegExp>> = {
  stomp: /^(destination|subscription|ack|message-id|redelivered)$/i,
  mqtt: /^everywire-event$/,
};

describe('a publisher cannot choose its `from`', () => {
  let mqtt: Client;
  let stomp: StompClient;
  let stompHeaders: Record<string, string>[];

  beforeAll(async () => {
    const { token, url, ...addresses } = server.asAdmin;
    mqtt = await connect(
      { url, ...addresses } as Parameters<typeof connect>[0],
      { protocolVersion: 5, isWebSocket: false },
      { username: 'root', password: token! },
    );
    await mqtt.mqtt.subscribeAsync('spoof/#', { qos: 1, properties: { userProperties: { cursor: 'on' } } });
    stompHeaders = [];
    stomp = new StompClient({
      webSocketFactory: () => new WebSocket(`${url.replace('http', 'ws')}/stomp`, ['v12.stomp']),
      connectHeaders: { passcode: token! },
      reconnectDelay: 0,
    });
    await new Promise<void>((resolve) => {
      stomp.onConnect = () => {
        stomp.watchForReceipt('ready', () => resolve());
        stomp.subscribe('/channels/spoof/**', ({ headers }) => void stompHeaders.push({ ...headers }), {
          receipt: 'ready',
        });
      };
      stomp.activate();
    });
  });
  afterAll(async () => {
    await mqtt.mqtt.endAsync(true);
    await stomp.deactivate({ force: true });
  });

  const publishers = named.filter(({ driver }) => has(driver.connect));

  it.each(publishers)('by $name (T11)', async ({ driver }) => {
    const cell = cellOf(driver, 'spoof');
    const as: Addresses = await cell.as(everything);
    const names = reserved.filter((name) => instructions[driver.transport]?.test(name) !== true);
    const headers = Object.fromEntries(names.map((name) => [name, 'spoofed']));
    const isTold = driver.untoldByPublishers?.fields.includes('headers') !== true;
    await driver.publish!(as, cell.base, { ...text('x'), headers: { ...headers, lang: 'ko' } });
    const [message] = await cell.stored(cell.base);
    expect(message).toMatchObject({
      from: cell.subject('ann'),
      ...(isTold ? { headers: { lang: 'ko' } } : {}),
    });
    const { topic, properties } = await mqtt.next();
    expect(topic).toBe(cell.base);
    const told = properties!.userProperties as Record<string, string | string[]>;
    expect(told).toMatchObject({ 'everywire-from': cell.subject('ann') });
    const spoofed = (all: object): string[] =>
      Object.entries(all).flatMap(([name, value]) => (String(value).includes('spoofed') ? [name] : []));
    expect(spoofed(told).filter((name) => /^(everywire-.*|cursor|offset)$/i.test(name))).toEqual([]);
    await expect
      .poll(() => stompHeaders.map(({ destination }) => destination))
      .toContain(`/channels/${cell.base}`);
    const seen = stompHeaders.at(-1)!;
    expect(seen).toMatchObject({
      destination: `/channels/${cell.base}`,
      'everywire-from': cell.subject('ann'),
    });
    expect(spoofed(seen).filter((name) => !/^cursor$/i.test(name))).toEqual([]);
  });
});

it('a transport that is turned off has no way in (T9)', async () => {
  const transports = {
    websocket: false,
    socketio: false,
    stomp: false,
    mqtt: false,
    grpc: false,
    webhook: false,
  };
  const auth = { jwt: { secret: testSecret } };
  const closed = await startTestServer({ store: 'memory:', auth, transports });
  try {
    const { token } = server.asAdmin;
    expect([closed.mqtt, closed.stomp, closed.grpc]).toEqual([undefined, undefined, undefined]);
    for (const path of [
      '/webhooks',
      '/socket.io/?EIO=4&transport=polling',
      '/everywire.v1.Messaging/Publish',
    ]) {
      const response = await fetch(closed.url + path, { headers: { Authorization: `Bearer ${token!}` } });
      expect([path, response.status]).toEqual([path, 404]);
    }
    for (const [path, protocol] of [
      ['/ws', 'everywire.v1'],
      ['/mqtt', 'mqtt'],
      ['/stomp', 'v12.stomp'],
    ] as const) {
      const socket = new WebSocket(closed.url.replace('http', 'ws') + path, [protocol]);
      socket.on('error', () => undefined);
      const status = await new Promise((resolve) => {
        socket.on('unexpected-response', (request, { statusCode }) => {
          resolve(statusCode);
          request.destroy();
        });
        socket.on('open', () => resolve('open'));
      });
      expect([path, status]).toEqual([path, 404]);
    }
  } finally {
    await closed.stop();
  }
});

it('a webhook of another subject is invisible (T10)', async () => {
  const { url, token } = server.asAdmin;
  const cell = cellOf(drivers[0]!, 'webhook');
  const { token: bobs } = await cell.as({ sub: cell.subject('bob'), ...everything });
  const ask = (shown: string, method: string, path: string, body?: object): Promise<Response> =>
    fetch(url + path, {
      method,
      headers: {
        Authorization: `Bearer ${shown}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      body: body === undefined ? null : JSON.stringify(body),
    });
  const made = await ask(token!, 'POST', '/webhooks', { url: 'http://127.0.0.1:9/', filter: 'somewhere' });
  const path = `/webhooks/${((await made.json()) as { readonly id: string }).id}`;
  const attempts = [
    ['GET', path],
    ['DELETE', path],
    ['PATCH', path, { paused: true }],
    ['POST', `${path}/rewind`, { since: 'earliest' }],
    ['POST', `${path}/test`],
  ] as const;
  for (const [method, target, body] of attempts)
    expect([method, target, (await ask(bobs!, method, target, body)).status]).toEqual([method, target, 404]);
  expect((await ask(token!, 'DELETE', path)).status).toBe(204);
});
