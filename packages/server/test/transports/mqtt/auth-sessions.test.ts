import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MintedClaims } from '../../../../../test/support/tokens.ts';
import { inSeconds, startTokenServer, token, type TokenServer } from '../token-server.ts';
import { asks, endOf, everything, open, reauthenticate, shows, type ConnectOptions } from './auth-clients.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';

/** What outlives a connection is judged by the rights that its client has when it comes to be. */

let server: TokenServer;
beforeEach(async () => {
  server = await startTokenServer({ store: 'memory:' });
});
afterEach(() => server.stop());

const keptProperties = { sessionExpiryIntervalSeconds: 3_600 };
const kept = { cleanStart: false, properties: keptProperties };

async function as(claims: MintedClaims, options: ConnectOptions = {}) {
  return open(server.mqtt!, { ...options, ...shows(await token(claims)) });
}

async function writer(): Promise<RawClient> {
  return (await as({ sub: 'writer', ...everything })).client;
}

async function leave(client: RawClient): Promise<void> {
  client.cut();
  await client.closed;
}

test('the client id of another subject names another session, and disturbs none (T10)', async () => {
  const session = { ...kept, clientId: 'the same' };
  const will = {
    topic: 'ann/gone',
    payload: Buffer.from('x'),
    qos: 1,
    retain: false,
    properties: {},
  } as const;
  const { client: ann } = await as({ sub: 'ann', ...everything }, { ...session, will });
  await ann.subscribe('news/#', { qos: 1 });
  const { client: bob, isPresent } = await as(
    { sub: 'bob', subscribe: ['ann/**'], publish: ['news/**'] },
    session,
  );
  expect(isPresent).toBe(false);
  await bob.subscribe('ann/gone', { qos: 1 });
  await bob.deliver('news/one', 'hello');
  expect(await ann.texts(1)).toEqual(['hello']);
  bob.disconnect(0, { sessionExpiryIntervalSeconds: 0 });
  await bob.closed;
  const { client: carl } = await as({ sub: 'carl', subscribe: ['ann/**'] }, { ...session, cleanStart: true });
  carl.disconnect();
  await ann.settled();
  expect(ann.isClosed).toBe(false);
  await leave(ann);
  const { client: back, isPresent: isAnnsPresent } = await as({ sub: 'ann', ...everything }, session);
  expect(isAnnsPresent).toBe(true);
  back.disconnect();
});

describe.each([1, 2] as const)('QoS %d: a session whose rights have shrunk', (qos) => {
  const clientId = 'shrunk';

  /** One message of each topic has been sent and not acknowledged, another has come while the client was away. */
  async function shrink(claims: MintedClaims) {
    const write = await writer();
    const { client } = await as({ sub: 'ann', subscribe: ['a/**', 'b/**'] }, { ...kept, clientId });
    for (const filter of ['a/+', 'b/+']) await client.subscribe(filter, { qos });
    for (const topic of ['a/x', 'b/x']) {
      await write.deliver(topic, `${topic} sent`, { qos });
      await client.next('publish');
    }
    await client.settled();
    await leave(client);
    for (const topic of ['b/x', 'a/x', 'b/y', 'a/y']) await write.deliver(topic, `${topic} away`, { qos });
    await server.tokens.revoke({ subject: 'ann' });
    // A later second than that of the revocation, by which tokens are dated.
    server.clock.stepMs = 2_000;
    const { client: back, isPresent } = await as(
      { sub: 'ann', iat: inSeconds(2), ...claims },
      { ...kept, clientId },
    );
    expect(isPresent).toBe(true);
    return { write, back };
  }

  test('has nothing of a subscription that is not granted any more (T14)', async () => {
    const { write, back } = await shrink({ subscribe: ['a/**'] });
    expect(await back.texts(3)).toEqual(['a/x sent', 'a/x away', 'a/y away']);
    for (const topic of ['b/x', 'a/x']) await write.deliver(topic, 'live', { qos });
    expect(await back.texts(1)).toEqual(['live']);
    await back.settled();
    expect(back.packets.filter(({ type }) => type === 'publish')).toEqual([]);
    // The started flow is brought to its end, so that its packet id is free.
    if (qos === 2) expect((await back.next('pubrel')).reasonCode).toBe(0);
    expect(await back.unsubscribe('b/+')).toBe(0x11);
    for (const one of [write, back]) one.disconnect();
  });

  test('has nothing of a channel that is denied now', async () => {
    const { write, back } = await shrink({ subscribe: ['a/**', 'b/**', '!b/x'] });
    expect((await back.texts(4)).toSorted()).toEqual(['a/x away', 'a/x sent', 'a/y away', 'b/y away']);
    for (const topic of ['b/x', 'b/y']) await write.deliver(topic, `${topic} live`, { qos });
    expect(await back.texts(1)).toEqual(['b/y live']);
    await back.settled();
    expect(back.packets.filter(({ type }) => type === 'publish')).toEqual([]);
    for (const one of [write, back]) one.disconnect();
  });

  test('has no retained message of a channel that is denied now', async () => {
    const write = await writer();
    for (const topic of ['r/a', 'r/b']) await write.deliver(topic, topic, { qos, retain: true });
    const session = { ...kept, clientId: 'retained' };
    const { client } = await as({ sub: 'ann', subscribe: ['r/**'] }, session);
    await client.subscribe('r/+', { qos });
    for (let count = 0; count < 2; count += 1) await client.next('publish');
    await client.settled();
    await leave(client);
    const { client: back } = await as({ sub: 'ann', subscribe: ['r/**', '!r/a'] }, session);
    expect(await back.texts(1)).toEqual(['r/b']);
    await back.settled();
    expect(back.packets.filter(({ type }) => type === 'publish')).toEqual([]);
    for (const one of [write, back]) one.disconnect();
  });
});

test('a session is kept as it was whenever its token ends while it is being taken up', async () => {
  const session = { ...kept, clientId: 'busy' };
  const filters = Array.from({ length: 8 }, (_, at) => `f/${at}`);
  const inAnHour = () => ({ sub: 'ann', ...everything, exp: inSeconds(3_600 + server.clock.stepMs / 1_000) });
  const { client } = await as(inAnHour(), session);
  for (const filter of filters) await client.subscribe(filter, { qos: 1 });
  await leave(client);
  const seen = new Set<string>();
  for (let calls = 1; calls <= 24; calls += 1) {
    const brief = await RawClient.open(server.mqtt!);
    const shown = shows(await token(inAnHour()));
    server.clock.stepAt(calls, 3_601_000);
    const { reasonCode } = await brief.connect({ ...session, ...shown });
    if (reasonCode === 0) brief.send({ type: 'pingreq' });
    await brief.anything();
    const [told] = brief.packets;
    seen.add(reasonCode === 0 ? (told?.type ?? 'end') : 'refused');
    await leave(brief);
    server.clock.stepAt(0, 0);
  }
  // Before the CONNACK, after it, and not at all.
  expect([...seen].toSorted()).toEqual(['disconnect', 'pingresp', 'refused']);
  const { client: back } = await as(inAnHour(), session);
  await back.settled();
  for (const filter of filters) expect(await back.unsubscribe(filter)).toBe(0);
  back.disconnect();
});

describe('a will', () => {
  const will = (topic: string, delaySeconds = 0) => ({
    topic,
    payload: Buffer.from('gone'),
    qos: 1 as const,
    retain: false,
    properties: { willDelayIntervalSeconds: delaySeconds },
  });

  async function follow(filter: string): Promise<RawClient> {
    const reader = await writer();
    await reader.subscribe(filter, { qos: 1 });
    return reader;
  }

  /** Nothing came, and what was published after it has. */
  async function expectNothing(reader: RawClient, topic: string): Promise<void> {
    await reader.deliver(topic, 'mark');
    expect(await reader.texts(1)).toEqual(['mark']);
  }

  test('is published when the token has expired, since that is what ended the connection', async () => {
    const reader = await follow('will/#');
    const brief = { sub: 'ann', publish: ['will/**'], exp: inSeconds(60) };
    const { client } = await as(brief, { will: will('will/a') });
    server.clock.stepMs = 61_000;
    await endOf(client);
    expect(await reader.texts(1)).toEqual(['gone']);
    reader.disconnect();
  });

  test('of one that was revoked is not published (T18)', async () => {
    const reader = await follow('will/#');
    for (const delaySeconds of [0, 1]) {
      const jti = `revoked ${delaySeconds}`;
      const { client } = await as(
        { sub: 'ann', publish: ['will/**'], jti },
        { ...kept, clientId: jti, will: will('will/a', delaySeconds) },
      );
      await server.tokens.revoke({ tokenId: jti });
      await endOf(client);
    }
    // Away when it is revoked, and its will due later.
    const { client: away } = await as(
      { sub: 'ann', publish: ['will/**'], jti: 'away' },
      { ...kept, clientId: 'away', will: will('will/a', 1) },
    );
    await leave(away);
    await server.tokens.revoke({ tokenId: 'away' });
    const { client: witness } = await as(
      { sub: 'witness', publish: ['will/**'] },
      { ...kept, clientId: 'witness', will: will('will/witness', 2) },
    );
    await leave(witness);
    expect((await reader.take()).topic).toBe('will/witness');
    await expectNothing(reader, 'will/a');
    reader.disconnect();
  });

  test('is judged by the token that came last', async () => {
    const reader = await follow('will/#');
    for (const [at, publish] of [['will/**'], ['other/**']].entries()) {
      const { client } = await open(server.mqtt!, {
        ...asks(await token({ sub: 'ann', publish: ['will/**', 'other/**'] })),
        will: will(`will/${at}`),
      });
      reauthenticate(client, await token({ sub: 'ann', publish }));
      await client.next('auth');
      await leave(client);
    }
    expect((await reader.take()).topic).toBe('will/0');
    await expectNothing(reader, 'will/1');
    reader.disconnect();
  });
});

test('a server that is started anew judges sessions and wills as the one before would', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'everywire-auth-'));
  const store = `lmdb:${folder}`;
  const first = await startTokenServer({ store, limits: { retryAfterMs: 200 } });
  try {
    const at = async (url: string, claims: MintedClaims, options: ConnectOptions = {}) =>
      open(url, { ...options, ...shows(await token(claims)) });
    const will = (topic: string) => ({
      topic,
      payload: Buffer.from('gone'),
      qos: 1 as const,
      retain: false,
      properties: {},
    });
    const { client: reader } = await at(
      first.mqtt!,
      { sub: 'ann', subscribe: ['will/**', 'other'] },
      { ...kept, clientId: 'reader' },
    );
    for (const filter of ['will/+', 'other']) await reader.subscribe(filter, { qos: 1 });
    for (const jti of ['expired', 'revoked', 'good']) {
      await at(
        first.mqtt!,
        { sub: jti, jti, publish: ['will/**'], exp: inSeconds(jti === 'expired' ? 60 : 3_600) },
        { ...kept, clientId: jti, will: will(`will/${jti}`) },
      );
    }
    await first.stop();
    await first.tokens.revoke({ tokenId: 'revoked' });
    first.clock.stepMs = 61_000;
    const second = await first.again();
    const { client: back, isPresent } = await at(
      second.mqtt!,
      { sub: 'ann', subscribe: ['will/**'] },
      { ...kept, clientId: 'reader' },
    );
    expect(isPresent).toBe(true);
    const topics = [(await back.take()).topic, (await back.take()).topic];
    expect(topics.toSorted()).toEqual(['will/expired', 'will/good']);
    const { client: last } = await at(second.mqtt!, { sub: 'last', ...everything });
    for (const topic of ['other', 'will/end']) await last.deliver(topic, topic);
    expect(await back.texts(1)).toEqual(['will/end']);
    for (const one of [back, last]) one.disconnect();
    await second.stop();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
