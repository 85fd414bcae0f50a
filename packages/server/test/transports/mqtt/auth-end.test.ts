import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { inSeconds, startTokenServer, token, type TokenServer } from '../token-server.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';
import { asks, endOf, everything, notAuthorized, open, over, reauthenticate, shows } from './auth-clients.ts';

/** The end of a token while its client is connected, and another one in its place. */

let server: TokenServer;
beforeEach(async () => {
  server = await startTokenServer({ store: 'memory:' });
});
afterEach(() => server.stop());

const kinds = ['tcp', 'websocket'] as const;
const ways = ([4, 5] as const).flatMap((version) => kinds.map((kind) => ({ version, kind })));

describe.each(ways)('version $version over $kind', ({ version, kind }) => {
  const session = { version, clientId: 'c', cleanStart: false } as const;
  const kept = version === 5 ? { properties: { sessionExpiryIntervalSeconds: 3_600 } } : {};

  test('ends with its token, and its session resumes with the next one', async () => {
    const brief = await token({ sub: 'ann', ...everything, exp: inSeconds(60) });
    const { client } = await open(over(server, kind), { ...session, ...kept, ...shows(brief) });
    expect(await client.subscribe('a', { qos: 1 })).toBe(1);
    const { client: writer } = await open(server.mqtt!, shows(await token({ sub: 'w', ...everything })));
    await writer.deliver('a', 'unacknowledged');
    expect((await client.next('publish')).payload.toString()).toBe('unacknowledged');
    server.clock.stepMs = 61_000;
    expect(await endOf(client)).toBe(version === 5 ? notAuthorized : undefined);
    if (kind === 'websocket') expect(client.closeCode).toBe(1008);
    await writer.deliver('a', 'away');
    const next = await token({ sub: 'ann', ...everything });
    const { client: back, isPresent } = await open(over(server, kind), {
      ...session,
      ...kept,
      ...shows(next),
    });
    expect(isPresent).toBe(true);
    const first = await back.take();
    expect([first.payload.toString(), first.dup]).toEqual(['unacknowledged', true]);
    expect(await back.texts(1)).toEqual(['away']);
    for (const one of [back, writer]) one.disconnect();
  });

  test('ends when it is revoked, and no other does', async () => {
    const one = await token({ sub: 'ann', jti: 'one', ...everything });
    const two = await token({ sub: 'ann', jti: 'two', ...everything });
    const { client } = await open(over(server, kind), { version, ...shows(one) });
    const { client: other } = await open(server.mqtt!, { version, ...shows(two) });
    const startedMs = performance.now();
    await server.tokens.revoke({ tokenId: 'one' });
    expect(await endOf(client)).toBe(version === 5 ? notAuthorized : undefined);
    expect(performance.now() - startedMs).toBeLessThan(30_000);
    await other.settled();
    other.disconnect();
  });
});

test.each(kinds)(
  'what a member of a group has at QoS 2 stays with it when its token ends, over %s',
  async (kind) => {
    const session = { clientId: 'g', cleanStart: false, properties: { sessionExpiryIntervalSeconds: 3_600 } };
    const { client } = await open(over(server, kind), {
      ...session,
      ...shows(await token({ sub: 'ann', jti: 'one', ...everything })),
    });
    const { client: other } = await open(server.mqtt!, shows(await token({ sub: 'bob', ...everything })));
    await client.subscribe('$share/g/jobs', { qos: 2 });
    await other.deliver('jobs', 'first', { qos: 2 });
    const { packetId } = await client.next('publish');
    await other.subscribe('$share/g/jobs', { qos: 2 });
    await server.tokens.revoke({ tokenId: 'one' });
    await endOf(client);
    await other.deliver('jobs', 'second', { qos: 2 });
    expect(await other.texts(1)).toEqual(['second']);
    const { client: back } = await open(server.mqtt!, {
      ...session,
      ...shows(await token({ sub: 'ann', jti: 'two', ...everything })),
    });
    const again = await back.take();
    expect([again.payload.toString(), again.packetId, again.dup]).toEqual(['first', packetId, true]);
    for (const one of [back, other]) one.disconnect();
  },
);

describe('AUTH', () => {
  const ann = { sub: 'ann', ...everything };

  test.each(['jwt', 'OAUTH2-JWT', 'CUSTOM-JWT'])('method %s: the answer names it', async (method) => {
    const properties = { authenticationMethod: method, authenticationData: Buffer.from(await token(ann)) };
    const { client } = await open(server.mqtt!, { properties });
    reauthenticate(client, await token({ ...ann, jti: 'two' }), method);
    expect(await client.next('auth')).toMatchObject({
      reasonCode: 0,
      properties: { authenticationMethod: method },
    });
    client.disconnect();
  });

  test('a method may be named beside the password, and CONNACK names it', async () => {
    const { client, connack } = await RawClient.connected(server.mqtt!, {
      ...shows(await token(ann), 'ann'),
      properties: { authenticationMethod: 'jwt' },
    });
    expect(connack.properties.authenticationMethod).toBe('jwt');
    reauthenticate(client, await token(ann));
    expect((await client.next('auth')).reasonCode).toBe(0);
    client.disconnect();
  });

  test('the connection continues with the new token when the old one is over', async () => {
    const brief = await token({ ...ann, exp: inSeconds(60) });
    const { client } = await open(server.mqtt!, asks(brief));
    await client.subscribe('a', { qos: 1 });
    reauthenticate(client, await token(ann));
    await client.next('auth');
    server.clock.stepMs = 61_000;
    const { client: witness } = await open(server.mqtt!, shows(await token({ ...ann, exp: inSeconds(63) })));
    server.clock.stepMs = 64_000;
    await endOf(witness);
    await client.deliver('a', 'on');
    expect(await client.texts(1)).toEqual(['on']);
    client.disconnect();
  });

  test('what the new token does not allow ends, and the answer says which', async () => {
    const { client } = await open(server.mqtt!, asks(await token({ ...ann, admin: true })));
    for (const filter of ['a', 'b/#', '$SYS/broker/none', '$share/g/a'])
      await client.subscribe(filter, { qos: 1 });
    reauthenticate(client, await token({ sub: 'ann', subscribe: ['b/**'], publish: ['**'] }));
    const { properties } = await client.next('auth');
    const told = properties.userProperties?.map(([name, filter]) => {
      expect(name).toBe('everywire-unsubscribed');
      return filter;
    });
    expect(told?.toSorted()).toEqual(['$SYS/broker/none', '$share/g/a', 'a']);
    await client.deliver('a', 'no');
    await client.deliver('b/x', 'yes');
    expect(await client.texts(1)).toEqual(['yes']);
    expect(await client.unsubscribe('a')).toBe(0x11);
    expect(await client.subscribe('a')).toBe(notAuthorized);
    client.disconnect();
  });

  test('retained messages that wait are judged by the new token', async () => {
    const { client: writer } = await open(server.mqtt!, shows(await token({ sub: 'w', ...everything })));
    for (const name of ['a', 'b', 'c']) await writer.deliver(`r/${name}`, name, { retain: true });
    const { client } = await open(server.mqtt!, asks(await token(ann), { receiveMaximum: 1 }));
    await client.subscribe('r/+', { qos: 1 });
    const first = await client.next('publish');
    reauthenticate(client, await token({ sub: 'ann', subscribe: ['r/**', '!r/b'] }));
    await client.next('auth');
    client.ack('puback', first.packetId);
    expect([first.payload.toString(), ...(await client.texts(1))]).toEqual(['a', 'c']);
    for (const one of [client, writer]) one.disconnect();
  });

  test('it is judged for what comes behind it, and not for what came before', async () => {
    const { client } = await open(server.mqtt!, asks(await token(ann)));
    const before = client.publish('a', 'before', { qos: 1 });
    reauthenticate(client, await token({ sub: 'ann', publish: ['b'] }));
    const after = client.publish('a', 'after', { qos: 1 });
    const answers = [await client.next('puback'), await client.next('puback')];
    expect(answers.map(({ packetId, reasonCode }) => [packetId, reasonCode])).toEqual([
      [before, 0],
      [after, notAuthorized],
    ]);
    client.disconnect();
  });

  test.each([
    ['of another subject', { sub: 'bob', ...everything }],
    ['that is over', { ...ann, exp: inSeconds(-10) }],
  ])('a token %s ends the connection', async (_what, claims) => {
    const { client } = await open(server.mqtt!, asks(await token(ann)));
    reauthenticate(client, await token(claims));
    expect(await endOf(client)).toBe(notAuthorized);
  });

  test('nothing, a ticket twice, and what is no token end the connection', async () => {
    for (const shown of ['', 'x', 'ewt_used']) {
      const { client } = await open(server.mqtt!, asks(await token(ann)));
      reauthenticate(client, shown);
      expect(await endOf(client)).toBe(notAuthorized);
    }
  });

  test('another method, none, and a step of no exchange are errors of the protocol', async () => {
    const shown = await token(ann);
    const authenticationData = Buffer.from(shown);
    const wrong = [
      { reasonCode: 0x19, method: 'OAUTH2-JWT' },
      { reasonCode: 0x18, method: 'jwt' },
    ];
    for (const { reasonCode, method } of wrong) {
      const { client } = await open(server.mqtt!, asks(shown));
      client.send({
        type: 'auth',
        reasonCode,
        properties: { authenticationMethod: method, authenticationData },
      });
      expect((await client.next('disconnect')).reasonCode).toBe(0x82);
      await client.closed;
    }
    const { client } = await open(server.mqtt!, shows(shown));
    reauthenticate(client, shown);
    expect((await client.next('disconnect')).reasonCode).toBe(0x82);
  });
});
