import { once } from 'node:events';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inSeconds, startTokenServer, token, type TokenServer } from '../token-server.ts';
import { badToken, everything, notAuthorized, shows, type ConnectOptions } from './auth-clients.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';
import type { Connack } from '@everywire/wires/mqtt';

let server: TokenServer;
beforeAll(async () => {
  server = await startTokenServer({ store: 'memory:' });
});
afterAll(() => server.stop());

async function connected(shown: string, options: ConnectOptions = {}, url = server.mqtt!) {
  return RawClient.connected(url, { ...shows(shown), ...options });
}

async function open(shown: string, options: ConnectOptions = {}): Promise<RawClient> {
  const { client, connack } = await connected(shown, options);
  expect(connack.reasonCode).toBe(0);
  return client;
}

async function answerTo(options: ConnectOptions, url = server.mqtt!): Promise<Connack> {
  const client = await RawClient.open(url, options.version ?? 5);
  const connack = await client.connect(options);
  if (connack.reasonCode >= 0x80) await client.closed;
  else client.disconnect();
  return connack;
}

let names = 0;
const fresh = (): string => `auth/${(names += 1)}`;

describe.each([4, 5] as const)('CONNECT of version %d', (version) => {
  test('is refused without a token, and with an invalid one', async () => {
    const good = await token({ sub: 'ann', ...everything });
    const expired = await token({ sub: 'ann', ...everything, exp: inSeconds(-10) });
    const bad = [undefined, '', 'x', good.slice(0, -2), `${good} `, expired, 'ewt_never issued'];
    for (const shown of bad) {
      const connack = await answerTo({ version, ...shows(shown) });
      expect(connack.reasonCode).toBe(badToken);
      expect(JSON.stringify(connack)).not.toContain(good.slice(0, 20));
    }
  });

  test.each(['tcp', 'websocket'] as const)('takes a token as password over %s', async (kind) => {
    const url = kind === 'tcp' ? server.mqtt! : server.url;
    const shown = await token({ sub: 'ann', ...everything });
    const { client, connack } = await connected(shown, { version }, url);
    expect(connack.reasonCode).toBe(0);
    const topic = fresh();
    expect(await client.subscribe(topic, { qos: 1 })).toBe(1);
    expect(await client.deliver(topic, 'hello')).toBe(0);
    expect((await client.take()).payload.toString()).toBe('hello');
    client.disconnect();
  });

  test('gives MQTT 5 readers the publisher of a message from any transport', async () => {
    const topic = fresh();
    const [ann, bob] = [
      await token({ sub: 'ann', ...everything }),
      await token({ sub: 'bob', ...everything }),
    ];
    const reader = await open(bob);
    await reader.subscribe(topic, { qos: 1 });
    const writer = await open(ann, { version });
    await writer.deliver(topic, 'plain');
    const forged = { userProperties: [['everywire-from', 'root'] as const, ['lang', 'ko'] as const] };
    await writer.deliver(topic, 'forged', version === 5 ? { properties: forged } : {});
    const froms = [
      (await reader.take()).properties.userProperties,
      (await reader.take()).properties.userProperties,
    ];
    const from = ['everywire-from', 'ann'];
    expect(froms).toEqual([[from], version === 5 ? [['lang', 'ko'], from] : [from]]);
    for (const one of [reader, writer]) one.disconnect();
  });

  test('takes the subject as user name, none, and no other', async () => {
    const shown = await token({ sub: 'ann', ...everything });
    for (const name of ['ann', '']) {
      const connack = await answerTo({ version, ...shows(shown, name) });
      expect(connack.reasonCode).toBe(0);
    }
    for (const name of ['bob', 'Ann', 'ann ', '#', '+', 'ann/x', '__proto__']) {
      const connack = await answerTo({ version, ...shows(shown, name) });
      expect(connack.reasonCode).toBe(badToken);
    }
  });

  test('takes a ticket once', async () => {
    const identity = await identityOf({ sub: 'ann', ...everything });
    const { ticket } = server.tokens.issueTicket(identity);
    expect((await answerTo({ version, ...shows(ticket) })).reasonCode).toBe(0);
    expect((await answerTo({ version, ...shows(ticket) })).reasonCode).toBe(badToken);
  });

  test('with a will that the token does not allow is refused', async () => {
    const shown = await token({ sub: 'ann', publish: ['a/**'] });
    const will = {
      topic: 'b/x',
      payload: Buffer.from('gone'),
      qos: 1,
      retain: false,
      properties: {},
    } as const;
    const connack = await answerTo({ version, ...shows(shown), will });
    expect(connack.reasonCode).toBe(notAuthorized);
  });
});

/** As the server would have it. */
async function identityOf(claims: Parameters<typeof token>[0]) {
  const { subscribe = [], publish = [], sub } = claims;
  return {
    subject: sub,
    isAdmin: false,
    claims: { subscribe, publish, expiresAtMs: Date.now() + 60_000, issuedAtMs: Date.now() },
  };
}

describe('the address of a WebSocket', () => {
  test('may have a ticket, which the user name must fit', async () => {
    const issue = async () =>
      server.tokens.issueTicket(await identityOf({ sub: 'ann', ...everything })).ticket;
    const at = async (query: string, options: ConnectOptions) => {
      const client = await RawClient.open(`${server.url}?${query}`, 5);
      const { reasonCode } = await client.connect(options);
      client.cut();
      return reasonCode;
    };
    expect(await at(`ticket=${await issue()}`, {})).toBe(0);
    const used = await issue();
    expect(await at(`ticket=${used}`, { userName: 'ann' })).toBe(0);
    expect(await at(`ticket=${used}`, {})).toBe(0x86);
    expect(await at(`ticket=${await issue()}`, { userName: 'bob' })).toBe(0x86);
    const bobs = await token({ sub: 'bob', ...everything });
    expect(await at(`ticket=${await issue()}`, shows(bobs))).toBe(0x86);
  });

  test('has one ticket at most, and a token there is not looked at', async () => {
    const upgrade = request(`${server.url}/mqtt?ticket=a&ticket=b`, {
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': Buffer.alloc(16).toString('base64'),
        'sec-websocket-protocol': 'mqtt',
      },
    }).end();
    const [{ statusCode }] = (await once(upgrade, 'response')) as [{ statusCode: number }];
    expect(statusCode).toBe(400);
    const shown = await token({ sub: 'ann', ...everything });
    const client = await RawClient.open(`${server.url}?token=${shown}&access_token=${shown}`, 5);
    expect((await client.connect()).reasonCode).toBe(0x86);
  });
});

describe.each([4, 5] as const)('rights in version %d', (version) => {
  test('SUBSCRIBE is answered with a failure, and the others in it are granted', async () => {
    const client = await open(await token({ sub: 'ann', subscribe: ['a/**', '!a/secret'] }), { version });
    expect(await client.subscribe('a/+', { qos: 1 })).toBe(1);
    const failure = version === 5 ? 0x87 : 0x80;
    for (const filter of ['a/secret', 'b/x', '#', '$share/g/b/x', '$since/earliest/b/x'])
      expect(await client.subscribe(filter, { qos: 1 })).toBe(failure);
    client.disconnect();
  });

  test('PUBLISH above QoS 0 is refused; without an answer for that the connection ends', async () => {
    const shown = await token({ sub: 'ann', publish: ['a/**', '!a/secret'], subscribe: ['a/**'] });
    const client = await open(shown, { version });
    expect(await client.deliver('a/b', 'yes', { qos: 1 })).toBe(0);
    for (const qos of [0, 1, 2] as const) {
      const other = await open(shown, { version });
      if (version === 5 && qos > 0) {
        expect(await other.deliver('a/secret', 'no', { qos })).toBe(0x87);
        expect(await other.deliver('b', 'no', { qos })).toBe(0x87);
        expect(await other.deliver('a/c', 'yes', { qos })).toBe(0);
        other.disconnect();
      } else {
        other.publish('a/secret', 'no', { qos });
        if (version === 5) expect((await other.next('disconnect')).reasonCode).toBe(0x87);
      }
      await other.closed;
    }
    const reader = await open(await token({ sub: 'root', ...everything }));
    await reader.subscribe('$since/earliest/#', { qos: 1 });
    await client.deliver('a/end', 'end');
    const seen: string[] = [];
    while (seen.at(-1) !== 'end') seen.push((await reader.take()).payload.toString());
    expect(seen).not.toContain('no');
    for (const one of [client, reader]) one.disconnect();
  });

  test('$SYS is for administrators', async () => {
    const failure = version === 5 ? 0x87 : 0x80;
    const asks = await token({ sub: 'ann', subscribe: ['**', '$SYS/**'] });
    expect((await answerTo({ version, ...shows(asks) })).reasonCode).toBe(badToken);
    const client = await open(await token({ sub: 'ann', subscribe: ['**'] }), { version });
    for (const filter of ['$SYS/#', '$SYS/broker/uptime', '$share/g/$SYS/#'])
      expect(await client.subscribe(filter)).toBeGreaterThanOrEqual(0x80);
    expect(await client.subscribe('$SYS/#')).toBe(failure);
    const admin = await open(await token({ sub: 'root', admin: true }), { version });
    expect(await admin.subscribe('$SYS/broker/uptime')).toBe(0);
    expect((await admin.take()).topic).toBe('$SYS/broker/uptime');
    for (const one of [client, admin]) one.disconnect();
  });
});
