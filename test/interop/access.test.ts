import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EverywireError } from '@everywire/protocol';
import { openAccess, type Access, type Identity } from '../../packages/server/src/core/access.ts';
import { connect, type Client } from '../../packages/server/test/transports/mqtt/clients.ts';
import type { Reader, TransportDriver } from '../drivers/driver.ts';
import { drivers } from '../drivers/index.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

/**
 * Who may do what is asked on every path, whatever the wire. Guests may do anything but what has to do with channels
 * whose second level is `secret`; who shows the token may do all.
 */
const rootToken = 'root';
const isSecret = (name: string): boolean => name.split('/')[1] === 'secret';
const forbidden = (): EverywireError => new EverywireError('forbidden', 'That is secret.');
const judge = ({ isAdmin }: Identity, name: string): void => {
  if (!isAdmin && isSecret(name)) throw forbidden();
};
const access: Access = {
  ...openAccess,
  authenticate: ({ token }) =>
    Promise.resolve(
      token === rootToken ? { subject: 'root', isAdmin: true } : { subject: 'guest', isAdmin: false },
    ),
  authorizePublish: judge,
  authorizeSubscribe: (identity, { text }) => judge(identity, text),
  authorizeAdmin: ({ isAdmin }) => {
    if (!isAdmin) throw forbidden();
  },
  deliverable: ({ isAdmin }) => (isAdmin ? undefined : (channel) => !isSecret(channel)),
};

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({}, { access });
});
afterAll(() => server.stop());

let bases = 0;
const freshBase = (): string => `base${(bases += 1)}`;

async function publishAsRoot(channel: string, text: string, isRetained = false): Promise<void> {
  const response = await fetch(`${server.url}/channels/${channel}`, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${rootToken}`,
      'Content-Type': 'text/plain',
      ...(isRetained ? { 'Everywire-Retain': 'true' } : {}),
    },
    body: text,
  });
  expect(response.status).toBe(201);
}

async function textsOf(reader: Reader, count: number): Promise<string[]> {
  const texts: string[] = [];
  while (texts.length < count) texts.push((await reader.next()).payload.toString());
  return texts;
}

async function publishSome(base: string): Promise<void> {
  for (const text of ['yes', 'end']) {
    await publishAsRoot(`${base}/secret`, 'no');
    await publishAsRoot(`${base}/open`, text);
  }
}

/** They begin by reading a page, or come back by a place of their own, and a group has one for all its members. */
const joinsNoGroup = ({ name }: TransportDriver): boolean => name.endsWith('poll') || name === 'webhook';

describe.each(drivers.map((driver) => ({ name: driver.name, driver })))('by $name', ({ driver }) => {
  it('a channel that may not be read is refused', async () => {
    await expect(driver.read(server, `${freshBase()}/secret`)).rejects.toThrow();
  });

  it('a filter brings nothing of a channel that may not be read, live', async () => {
    const base = freshBase();
    const reader = await driver.read(server, `${base}/*`);
    await publishSome(base);
    expect(await textsOf(reader, 2)).toEqual(['yes', 'end']);
    reader.close();
  });

  it('nor from the log', async () => {
    const base = freshBase();
    await publishSome(base);
    const reader = await driver.read(server, `${base}/*`, { since: 'earliest' });
    expect(await textsOf(reader, 2)).toEqual(['yes', 'end']);
    reader.close();
  });

  it('nor in a group, and the group of a channel that may not be read is refused', async () => {
    const base = freshBase();
    await expect(driver.read(server, `$share/g/${base}/secret`)).rejects.toThrow();
    const group = `$share/g/${base}/*`;
    if (joinsNoGroup(driver)) {
      await expect(driver.read(server, group)).rejects.toThrow('bad_name');
      return;
    }
    await publishSome(base);
    const reader = await driver.read(server, group, { since: 'earliest' });
    expect(await textsOf(reader, 2)).toEqual(['yes', 'end']);
    reader.close();
  });

  it.runIf(driver.publish !== undefined)('a channel that may not be written is refused', async () => {
    const channel = `${freshBase()}/secret`;
    const message = { payload: Buffer.from('no'), type: 'text/plain' };
    await driver.publish!(server, channel, message).then(
      // QoS 0 has no answer, and what it would be is the end of the connection.
      () => expect(driver.name).toContain('QoS 0'),
      () => undefined,
    );
    const page = await fetch(`${server.url}/channels/${channel}?since=earliest`, {
      headers: { Authorization: `Bearer ${rootToken}` },
    });
    expect(((await page.json()) as { readonly messages: unknown[] }).messages).toEqual([]);
  });
});

describe('what only some protocols have', () => {
  const way = { protocolVersion: 5, isWebSocket: false } as const;

  async function guest(options: Parameters<typeof connect>[2] = {}): Promise<Client> {
    return connect(server, way, options);
  }

  async function take(client: Client, count: number): Promise<string[]> {
    const texts: string[] = [];
    while (texts.length < count) texts.push((await client.next()).payload.toString());
    return texts;
  }

  it('retained messages of MQTT', async () => {
    const base = freshBase();
    await publishAsRoot(`${base}/secret`, 'no', true);
    await publishAsRoot(`${base}/open`, 'yes', true);
    const client = await guest();
    await client.mqtt.subscribeAsync(`${base}/+`, { qos: 1 });
    await publishAsRoot(`${base}/open`, 'end');
    expect(await take(client, 2)).toEqual(['yes', 'end']);
    await client.mqtt.endAsync(true);
  });

  it('an MQTT session that was away', async () => {
    const base = freshBase();
    const options = { clientId: `away-${base}`, clean: false, properties: { sessionExpiryInterval: 60 } };
    const before = await guest(options);
    await before.mqtt.subscribeAsync(`${base}/+`, { qos: 2 });
    await before.mqtt.endAsync();
    await publishAsRoot(`${base}/secret`, 'no');
    await publishAsRoot(`${base}/open`, 'yes');
    const after = await guest(options);
    expect(after.sessionPresent).toBe(true);
    expect(await take(after, 1)).toEqual(['yes']);
    await after.mqtt.endAsync(true);
  });

  it('an MQTT session of somebody else, by the same client id', async () => {
    const base = freshBase();
    const options = { clientId: `same-${base}`, clean: false, properties: { sessionExpiryInterval: 60 } };
    const root = await guest({ ...options, username: 'root', password: rootToken });
    await root.mqtt.subscribeAsync(`${base}/secret`, { qos: 1 });
    await root.mqtt.endAsync();
    const other = await guest(options);
    expect(other.sessionPresent).toBe(false);
    await other.mqtt.endAsync(true);
  });

  it('a will', async () => {
    const base = freshBase();
    const will = { topic: `${base}/secret`, payload: Buffer.from('no'), qos: 1, retain: false } as const;
    await expect(guest({ will })).rejects.toThrow();
  });

  it('lists, and the end of a channel', async () => {
    const base = freshBase();
    await publishAsRoot(`${base}/secret`, 'no');
    await publishAsRoot(`${base}/open`, 'yes');
    const listed = await fetch(`${server.url}/channels?filter=${base}/*`);
    const { channels } = (await listed.json()) as { readonly channels: { readonly channel: string }[] };
    expect(channels.map(({ channel }) => channel)).toEqual([`${base}/open`]);
    for (const channel of ['secret', 'open']) {
      const dropped = await fetch(`${server.url}/channels/${base}/${channel}`, { method: 'DELETE' });
      expect(dropped.status).toBe(403);
    }
  });

  it('webhooks of somebody else', async () => {
    const made = await fetch(`${server.url}/webhooks`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${rootToken}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ url: 'http://127.0.0.1:9/', filter: 'somewhere' }),
    });
    expect(made.status).toBe(201);
    const { id } = (await made.json()) as { readonly id: string };
    for (const method of ['GET', 'DELETE'])
      expect((await fetch(`${server.url}/webhooks/${id}`, { method })).status).toBe(404);
    const removed = await fetch(`${server.url}/webhooks/${id}`, {
      method: 'DELETE',
      headers: { Authorization: `Bearer ${rootToken}` },
    });
    expect(removed.status).toBe(204);
  });
});
