import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RawClient } from '../../clients/websocket/raw-client.ts';
import { textFrame } from '../../clients/websocket/client-frames.ts';
import { drivers } from '../../drivers/index.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { mint, testSecret } from '../../support/tokens.ts';

/** Subjects, claims and members of commands may be called what objects have already, and mean no more by it. */
const words = ['__proto__', 'constructor', 'toString'];

let server: TestServer;
let admin: string;
beforeAll(async () => {
  server = await startTestServer({ store: 'memory:', auth: { jwt: { secret: testSecret } } });
  admin = await mint(testSecret, { sub: 'root', admin: true });
});
afterAll(() => server.stop());

const port = (): number => Number(new URL(server.url).port);

function ask(method: string, path: string, body: string, token: string): Promise<Response> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  return fetch(`${server.url}${path}`, { method, headers, body });
}

describe.each(drivers.map((driver) => ({ name: driver.name, driver })))('by $name', ({ name, driver }) => {
  it.each(words)('the subject %s reads and publishes what it may, and no more', async (sub) => {
    const channel = `own/${sub}/${name.replaceAll(/[^a-z0-9]/gi, '-')}`;
    const token = await mint(testSecret, { sub, subscribe: ['own/{sub}/**'], publish: ['own/{sub}/**'] });
    const peer = { ...server, token, adminToken: admin };
    await expect(driver.read(peer, `other/${sub}`)).rejects.toThrow();
    const reader = await driver.read(peer, channel);
    const message = { payload: Buffer.from('mine'), type: 'text/plain' };
    if (driver.publish === undefined)
      expect((await ask('POST', `/channels/${channel}`, '"mine"', token)).status).toBe(201);
    else await driver.publish(peer, channel, message);
    expect((await reader.next()).payload.toString()).toContain('mine');
    reader.close();
  });
});

it.each(words)('claims named %s grant nothing', async (word) => {
  const everywire = JSON.parse(`{"${word}":{"admin":true,"subscribe":["**"]},"publish":["a"]}`) as object;
  const token = await mint(testSecret, {
    sub: 'eve',
    raw: { everywire, ...(JSON.parse(`{"${word}":{"admin":true}}`) as object) },
  });
  expect((await ask('POST', '/tokens/revoke', '{"sub":"x"}', token)).status).toBeOneOf([401, 403]);
  const answer = await fetch(`${server.url}/channels/a`, { headers: { authorization: `Bearer ${token}` } });
  expect(answer.status).toBeOneOf([401, 403]);
});

it.each(words)('a revocation of %s ends no other subject', async (sub) => {
  const token = await mint(testSecret, { sub, publish: ['a'] });
  const other = await mint(testSecret, { sub: 'ann', publish: ['a'] });
  expect((await ask('POST', '/channels/a', '1', token)).status).toBe(201);
  expect((await ask('POST', '/tokens/revoke', JSON.stringify({ sub }), admin)).status).toBe(200);
  expect((await ask('POST', '/channels/a', '1', token)).status).toBe(401);
  expect((await ask('POST', '/channels/a', '1', other)).status).toBe(201);
});

it.each([
  ['POST', '/publish', (word: string) => `[{"channel":"a","data":1,"${word}":{"channel":"b"}}]`],
  ['POST', '/tickets', (word: string) => `{"${word}":{"sub":"root"}}`],
  ['POST', '/tokens/revoke', (word: string) => `{"${word}":{"sub":"root"}}`],
  [
    'POST',
    '/webhooks',
    (word: string) => `{"url":"http://127.0.0.1:9/","filter":"a","${word}":{"paused":true}}`,
  ],
] as const)('%s %s takes no member by such a name', async (method, path, bodyWith) => {
  for (const word of words) {
    const answer = await ask(method, path, bodyWith(word), admin);
    const told = await answer.text();
    // Each entry of a list has a separate answer.
    expect([answer.status, told], told).toEqual([
      expect.toBeOneOf([200, 201, 207, 400, 422]),
      expect.stringMatching(/"(invalid|malformed)"|"ticket"/),
    ]);
    expect(told).not.toContain('root');
  }
});

it.each(words)(
  'a command named %s is unknown, and a member by that name is ignored or refused',
  async (word) => {
    const client = await RawClient.open(port(), '/ws', [
      `Authorization: Bearer ${admin}`,
      'Sec-WebSocket-Protocol: everywire.v1',
    ]);
    client.write(textFrame(`{"id":"1","op":"${word}"}`));
    client.write(textFrame(`{"id":"2","op":"publish","channel":"a","data":1,"${word}":{"channel":"b"}}`));
    client.write(textFrame(`{"id":"3","op":"publish","channel":"a","data":1,"headers":{"${word}":"x"}}`));
    await client.until(() => client.texts.filter((text) => text.includes('"id"')).length === 3);
    const answers = client.texts.map(
      (text) => JSON.parse(text) as { readonly id?: string; readonly ok?: boolean },
    );
    expect(answers.find(({ id }) => id === '1')?.ok).toBe(false);
    expect(answers.find(({ id }) => id === '3')?.ok).toBe(true);
    expect(JSON.stringify(answers)).not.toContain('internal');
    client.destroy();
  },
);

describe('nothing is compressed', () => {
  it.each([
    ['/ws', 'everywire.v1'],
    ['/channels/a', undefined],
    ['/mqtt', 'mqtt'],
    ['/stomp', 'v12.stomp'],
    ['/socket.io/?EIO=4&transport=websocket', undefined],
  ])('in a WebSocket at %s, for any offered subprotocol', async (path, protocol) => {
    const client = await RawClient.open(port(), path, [
      `Authorization: Bearer ${admin}`,
      'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
      ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
    ]);
    expect(client.status).toBe(101);
    expect(client.head.toLowerCase()).not.toContain('sec-websocket-extensions');
    client.destroy();
  });

  it.each(['application/json', 'application/connect+json', 'application/grpc-web+proto'])(
    'in a call of %s',
    async (type) => {
      const encoding = type.includes('connect')
        ? 'connect-content-encoding'
        : type.includes('grpc')
          ? 'grpc-encoding'
          : 'content-encoding';
      const answer = await fetch(`${server.url}/everywire.v1.Messaging/Publish`, {
        method: 'POST',
        headers: { authorization: `Bearer ${admin}`, 'content-type': type, [encoding]: 'gzip' },
        body: Buffer.from('1f8b0800000000000003', 'hex'),
      });
      const told = `${answer.status} ${answer.headers.get('grpc-status')} ${await answer.text()}`;
      // Connect says "unimplemented", which is 501 for a unary call; gRPC-Web says it by its status, 12.
      expect(told).toMatch(/^(415|501|404)|unimplemented| 12 |grpc-status: ?12/);
    },
  );

  it('in the body of an answer, for any Accept field', async () => {
    for (const accept of ['application/json', 'text/event-stream']) {
      const stop = new AbortController();
      const answer = await fetch(`${server.url}/channels/a`, {
        headers: { authorization: `Bearer ${admin}`, accept, 'accept-encoding': 'gzip, br, zstd, deflate' },
        signal: stop.signal,
      });
      expect([answer.status, answer.headers.get('content-encoding')]).toEqual([200, null]);
      stop.abort();
    }
  });
});
