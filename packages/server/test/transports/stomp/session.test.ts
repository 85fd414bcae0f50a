import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../../../../test/support/server.ts';
import { StompClient } from '../../../../../test/clients/stomp/client.ts';

let server: TestServer;
const clients: StompClient[] = [];
let names = 0;
const fresh = (): string => `/topic/session-${(names += 1)}`;

beforeAll(async () => {
  server = await startTestServer({
    limits: { stompBeatMsMin: 40, handshakeTimeoutMs: 400 },
    namespaces: { 'short/**': { retention: { count: 5 } } },
  });
});
afterEach(() => {
  for (const client of clients.splice(0)) client.cut();
});
afterAll(() => server.stop());

const ways = ['tcp', 'websocket'] as const;
type Way = (typeof ways)[number];

async function open(way: Way = 'tcp'): Promise<StompClient> {
  const client = await StompClient.open(way === 'tcp' ? server.stomp! : server.url);
  clients.push(client);
  return client;
}

async function connected(version = '1.2', way: Way = 'tcp', headers = {}): Promise<StompClient> {
  const client = await open(way);
  const answer = await client.connect({ 'accept-version': version, ...headers });
  expect(answer).toMatchObject({ command: 'CONNECTED', headers: { version } });
  return client;
}

async function publish(destination: string, ...bodies: string[]): Promise<void> {
  const client = await connected();
  for (const body of bodies) {
    expect(await client.ask('SEND', { destination }, body)).toMatchObject({ command: 'RECEIPT' });
  }
  client.cut();
}

describe('CONNECT', () => {
  it.each([
    ['1.0', '1.0'],
    ['1.0,1.1', '1.1'],
    ['1.2, 1.1', '1.2'],
    ['2.0,1.1,0.9', '1.1'],
  ])('agrees on the newest version of %s: %s', async (offered, version) => {
    const client = await open();
    const { command, headers } = await client.connect({ 'accept-version': offered });
    expect({ command, version: headers['version'] }).toEqual({ command: 'CONNECTED', version });
    expect(headers['session']).toMatch(/^[0-9a-f]{32}$/);
    expect(headers['heart-beat']).toBe('0,0');
  });

  it('speaks 1.0 with a client that names no version, and takes STOMP for CONNECT', async () => {
    const old = await open();
    old.send('CONNECT');
    expect((await old.next()).headers['version']).toBe('1.0');
    const other = await open();
    other.send('STOMP', { 'accept-version': '1.2', host: 'x' });
    expect((await other.next()).headers['version']).toBe('1.2');
  });

  it('lists the versions when there is no common one, and closes', async () => {
    const client = await open('websocket');
    client.send('CONNECT', { 'accept-version': '3.0' });
    const error = await client.error();
    expect(error.headers).toMatchObject({ message: 'unsupported', version: '1.0,1.1,1.2' });
    expect(client.closeCode).toBe(1003);
  });

  it('serves frames that came in one packet behind it', async () => {
    const destination = fresh();
    const client = await open();
    client.write(
      'CONNECT\naccept-version:1.2\nhost:x\n\n\0' +
        `SUBSCRIBE\nid:a\ndestination:${destination}\n\n\0SEND\ndestination:${destination}\n\nat once\0`,
    );
    expect((await client.next()).command).toBe('CONNECTED');
    expect((await client.next()).body.toString()).toBe('at once');
  });

  it('closes a connection on which it does not come in time, also byte by byte', async () => {
    const silent = await open();
    const slow = await open();
    const drip = setInterval(() => slow.write('\n'), 50);
    expect((await silent.error()).headers['message']).toBe('timed_out');
    expect((await slow.error()).headers['message']).toBe('timed_out');
    clearInterval(drip);
  });

  it.each(['v10.stomp', 'v11.stomp', 'v12.stomp'])('takes the subprotocol %s', async (protocol) => {
    const client = await StompClient.open(server.url, [protocol, 'v99.stomp']);
    clients.push(client);
    expect((await client.connect()).command).toBe('CONNECTED');
  });
});

describe('heart-beats', () => {
  it.each(ways)('come as often as the client asks, on %s', async (way) => {
    const client = await open(way);
    const { headers } = await client.connect({ 'heart-beat': '0,100' });
    expect(headers['heart-beat']).toBe('100,0');
    await client.until(() => client.beats >= 3);
  });

  it('are missed: a silent client is closed, one that beats is not', async () => {
    const beating = await open();
    expect((await beating.connect({ 'heart-beat': '100,0' })).headers['heart-beat']).toBe('0,100');
    const silent = await open();
    await silent.connect({ 'heart-beat': '100,0' });
    const beats = setInterval(() => beating.write('\n'), 50);
    expect((await silent.error()).headers['message']).toBe('timed_out');
    expect(await beating.ask('BEGIN', { transaction: 't' })).toMatchObject({ command: 'RECEIPT' });
    clearInterval(beats);
  });

  it('are agreed on within bounds', async () => {
    const client = await open();
    const { headers } = await client.connect({ 'heart-beat': '1,99999999999' });
    expect(headers['heart-beat']).toBe('64800000,40');
  });

  it('do not excuse half a frame', async () => {
    const client = await connected();
    client.write('SEND\ndestination:/topic/a\ncontent-length:100\n\nthe rest never comes');
    expect((await client.error()).headers['message']).toBe('timed_out');
  });
});

describe.each(ways)('SEND and SUBSCRIBE on %s', (way) => {
  it.each(['1.0', '1.1', '1.2'])('carry what was said, in %s', async (version) => {
    const destination = fresh();
    const client = await connected(version, way);
    const subscribed = await client.ask('SUBSCRIBE', { id: 'sub-0', destination });
    expect(subscribed.headers).toMatchObject({ continuity: 'exact' });
    const sent = await client.ask(
      'SEND',
      {
        destination,
        'content-type': 'application/json',
        event: 'greeting',
        lang: 'ko',
        'message-id': 'mine',
        Subscription: 'mine',
        'everywire-gap': 'mine',
        persistent: 'true',
      },
      '{"text":"hi"}',
    );
    const { headers, body } = await client.next();
    expect(body.toString()).toBe('{"text":"hi"}');
    expect(headers).toMatchObject({
      destination,
      subscription: 'sub-0',
      'message-id': sent.headers['cursor'],
      offset: sent.headers['offset'],
      'content-type': 'application/json',
      'content-length': '13',
      event: 'greeting',
      lang: 'ko',
    });
    expect(Object.values(headers)).not.toContain('mine');
    expect(headers).not.toHaveProperty('persistent');
    expect(headers).not.toHaveProperty('ack');
  });

  it('keeps bodies byte for byte, and shows what they are', async () => {
    const destination = fresh();
    const client = await connected('1.2', way);
    await client.ask('SUBSCRIBE', { id: 'a', destination });
    const bodies: readonly (readonly [Buffer, string])[] = [
      [Buffer.from('여기\r\n\t'), 'text/plain; charset=utf-8'],
      [Buffer.alloc(0), 'text/plain; charset=utf-8'],
      [Buffer.from([0, 1, 2, 255]), 'application/octet-stream'],
      [Buffer.from('a\u001bb'), 'application/octet-stream'],
      [Buffer.alloc(65_536, 'x'), 'text/plain; charset=utf-8'],
    ];
    client.kinds.length = 0;
    for (const [body, type] of bodies) {
      client.send('SEND', { destination, 'content-length': String(body.length) }, body);
      const message = await client.next();
      expect(message.headers['content-type']).toBe(type);
      expect(message.body.equals(body)).toBe(true);
    }
    if (way === 'websocket') expect(client.kinds).toEqual(['text', 'text', 'binary', 'binary', 'text']);
  });

  it('escapes by version what other wires put into headers', async () => {
    const channel = fresh();
    const clientsOf = await Promise.all(['1.0', '1.1', '1.2'].map((version) => connected(version, way)));
    for (const client of clientsOf)
      await client.ask('SUBSCRIBE', { id: 'a:b\\c'.replaceAll(/[:\\]/g, '-'), destination: channel });
    await fetch(`${server.url}/channels${channel}`, {
      method: 'POST',
      headers: { 'Everywire-Meta-place': 'a:b\\c' },
      body: 'x',
    });
    const seen = await Promise.all(clientsOf.map(async (client) => (await client.next()).headers['place']));
    expect(seen).toEqual(['a:b\\c', 'a\\cb\\\\c', 'a\\cb\\\\c']);
  });

  it('begins with what comes behind SUBSCRIBE, not with what was sent just before it', async () => {
    const destination = fresh();
    const client = await connected('1.2', way);
    for (const body of ['before', 'also before']) client.send('SEND', { destination }, body);
    client.send('SUBSCRIBE', { id: 'a', destination });
    client.send('SEND', { destination }, 'behind');
    expect((await client.next()).body.toString()).toBe('behind');
  });

  it('stores once per key', async () => {
    const destination = fresh();
    const client = await connected('1.2', way);
    const first = await client.ask('SEND', { destination, key: 'once' }, 'x');
    const again = await client.ask('SEND', { destination, 'idempotency-key': 'once' }, 'x');
    expect(again.headers).toMatchObject({ duplicate: 'true', cursor: first.headers['cursor'] });
    expect((await client.ask('SEND', { destination, key: 'once' }, 'y')).headers['message']).toBe('conflict');
  });

  it('reads wildcards in both spellings, and resumes after a cursor', async () => {
    const base = fresh();
    await publish(`${base}/a`, '1');
    await publish(`${base}/b`, '2');
    await publish(`${base}/a`, '3');
    const client = await connected('1.2', way);
    for (const [id, filter] of [`${base}/*`, `${base}/**`, `${base}/+`, `${base}/#`].entries()) {
      await client.ask('SUBSCRIBE', { id: String(id), destination: filter, since: 'earliest' });
      const messages = await client.take(3);
      expect(messages.map(({ headers }) => headers['destination'])).toEqual([
        `${base}/a`,
        `${base}/b`,
        `${base}/a`,
      ]);
      const after = messages[0]!.headers['message-id']!;
      await client.ask('SUBSCRIBE', { id: `after ${id}`, destination: filter, after });
      expect(await client.bodies(2)).toEqual(['2', '3']);
    }
  });

  it('tells what is missing with the first message, and in the receipt', async () => {
    const channel = `short/${(names += 1)}`;
    const publisher = await connected();
    const cursors: string[] = [];
    for (let at = 1; at <= 12; at += 1) {
      cursors.push((await publisher.ask('SEND', { destination: channel }, String(at))).headers['cursor']!);
    }
    const client = await connected('1.0', way);
    const receipt = await client.ask('SUBSCRIBE', {
      destination: `/channels/${channel}`,
      after: cursors[0]!,
    });
    const gap = [{ channel, from: 2, to: 7, reason: 'retention', cursor: cursors[6] }];
    expect(receipt.headers['continuity']).toBe('gap');
    expect(JSON.parse(receipt.headers['everywire-gap']!)).toEqual(gap);
    const messages = await client.take(5);
    expect(messages.map(({ body }) => body.toString())).toEqual(['8', '9', '10', '11', '12']);
    expect(JSON.parse(messages[0]!.headers['everywire-gap']!)).toEqual(gap);
    expect(messages.slice(1).every(({ headers }) => headers['everywire-gap'] === undefined)).toBe(true);
    expect(messages.every(({ headers }) => headers['destination'] === `/channels/${channel}`)).toBe(true);
  });

  it('stops with UNSUBSCRIBE, by id, and in 1.0 by destination', async () => {
    const destination = fresh();
    const client = await connected('1.2', way);
    await client.ask('SUBSCRIBE', { id: 'a', destination });
    await client.ask('UNSUBSCRIBE', { id: 'a' });
    await client.ask('SUBSCRIBE', { id: 'b', destination });
    await publish(destination, 'x');
    expect((await client.next()).headers['subscription']).toBe('b');
    const old = await connected('1.0', way);
    await old.ask('SUBSCRIBE', { destination });
    await publish(destination, 'y');
    expect((await old.next()).headers).not.toHaveProperty('subscription');
    await old.ask('UNSUBSCRIBE', { destination });
    await publish(destination, 'z');
    await old.ask('BEGIN', { transaction: 't' });
    expect(old.frames.filter(({ command }) => command === 'MESSAGE')).toHaveLength(1);
  });

  it('answers DISCONNECT when everything before it is stored, and reads nothing behind it', async () => {
    const destination = fresh();
    const reader = await connected('1.2', way);
    await reader.ask('SUBSCRIBE', { id: 'a', destination });
    const client = await connected('1.1', way);
    client.send('SEND', { destination, receipt: 'sent' }, 'before');
    client.write('DISCONNECT\nreceipt:bye\n\n\0SEND\ndestination:/topic/never\n\nx\0');
    await client.closed();
    expect(client.frames.slice(-2).map(({ headers }) => headers['receipt-id'])).toEqual(['sent', 'bye']);
    expect((await reader.next()).body.toString()).toBe('before');
    expect((await fetch(`${server.url}/channels/topic/never`)).status).toBe(200);
    expect(await (await fetch(`${server.url}/channels/topic/never`)).json()).toMatchObject({ messages: [] });
  });
});

describe('destinations', () => {
  it('/user/… is one’s own, by login while there are no tokens', async () => {
    const ann = await connected('1.2', 'tcp', { login: 'ann' });
    const bob = await connected('1.2', 'tcp', { login: 'bob' });
    for (const client of [ann, bob])
      await client.ask('SUBSCRIBE', { id: '1', destination: '/user/queue/replies' });
    await publish('/channels/user/bob/queue/replies', 'for bob');
    await publish('/channels/user/ann/queue/replies', 'for ann');
    for (const [client, body] of [
      [ann, 'for ann'],
      [bob, 'for bob'],
    ] as const) {
      const message = await client.next();
      expect(message.body.toString()).toBe(body);
      expect(message.headers['destination']).toBe('/user/queue/replies');
    }
  });

  it.each(['a/b', '*', '#', '+', 'a*'])('/user/… is one level of a name for the login %j', async (login) => {
    const client = await connected('1.2', 'tcp', { login });
    await client.ask('SUBSCRIBE', { id: '1', destination: '/user/x' });
    await publish('/channels/user/elsewhere/x', 'of another');
    const level = encodeURIComponent(login).replaceAll('*', '%2A');
    await publish(`/channels/user/${level}/x`, 'own');
    expect((await client.next()).body.toString()).toBe('own');
  });

  it('/user/… is refused to an empty login', async () => {
    const client = await connected('1.2', 'tcp', { login: '' });
    const error = await client.ask('SUBSCRIBE', { id: '1', destination: '/user/x' });
    expect(error.headers['message']).toBe('unauthorized');
  });

  it('/user/… without a subject is refused', async () => {
    const client = await connected();
    const error = await client.ask('SUBSCRIBE', { id: '1', destination: '/user/x' });
    expect(error.headers['message']).toBe('unauthorized');
  });

  it.each(['/exchange/amq.topic/x', '/amq/queue/x', '/temp-queue/x', '/reply-queue/x'])(
    '%s says what there is instead',
    async (destination) => {
      const client = await connected();
      const error = await client.ask('SEND', { destination }, 'x');
      expect(error.headers['message']).toBe('unsupported');
      expect(error.body.toString()).toContain('/topic/');
    },
  );
});

describe('acknowledgement', () => {
  async function subscribed(
    version: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<StompClient> {
    const client = await connected(version);
    await client.ask('SUBSCRIBE', { id: 's', ...headers });
    return client;
  }

  it('client-individual: a window of one moves with each ACK', async () => {
    const destination = fresh();
    await publish(destination, '1', '2', '3');
    const client = await subscribed('1.2', {
      destination,
      ack: 'client-individual',
      since: 'earliest',
      'prefetch-count': '1',
    });
    for (const body of ['1', '2', '3']) {
      const message = await client.next();
      expect(message.body.toString()).toBe(body);
      expect(message.headers).not.toHaveProperty('redelivered');
      expect(client.frames.filter(({ command }) => command === 'MESSAGE').at(-1)).toBe(message);
      await client.ask('ACK', { id: message.headers['ack']! });
    }
  });

  it('client: ACK is for everything before it, in 1.0, 1.1 and 1.2', async () => {
    for (const version of ['1.0', '1.1', '1.2']) {
      const destination = fresh();
      await publish(destination, '1', '2', '3', '4', '5');
      const client = await subscribed(version, {
        destination,
        ack: 'client',
        since: 'earliest',
        'prefetch-count': '3',
      });
      const third = (await client.take(3)).at(-1)!.headers;
      const id: Record<string, string> =
        version === '1.2' ? { id: third['ack']! } : { 'message-id': third['message-id']! };
      if (version === '1.1') id['subscription'] = 's';
      await client.ask('ACK', id);
      expect(await client.bodies(2)).toEqual(['4', '5']);
    }
  });

  it('NACK brings a message again, marked, and requeue:false gives it up', async () => {
    const destination = fresh();
    await publish(destination, '1', '2', '3');
    const client = await subscribed('1.2', { destination, ack: 'client-individual', since: 'earliest' });
    const [first, second, third] = await client.take(3);
    await client.ask('ACK', { id: first!.headers['ack']! });
    await client.ask('NACK', { id: second!.headers['ack']! });
    const again = await client.next();
    expect(again.body.toString()).toBe('2');
    expect(again.headers).toMatchObject({
      redelivered: 'true',
      'message-id': second!.headers['message-id'],
      ack: second!.headers['ack'],
    });
    await client.ask('NACK', { id: again.headers['ack']!, requeue: 'false' });
    await client.ask('ACK', { id: third!.headers['ack']! });
    await publish(destination, '4');
    expect(await client.bodies(1)).toEqual(['4']);
  });

  it('client: NACK is for everything before it as well', async () => {
    const destination = fresh();
    await publish(destination, '1', '2', '3');
    const client = await subscribed('1.1', { destination, ack: 'client', since: 'earliest' });
    const [first, second] = await client.take(3);
    await client.ask('ACK', { subscription: 's', 'message-id': first!.headers['message-id']! });
    await client.ask('NACK', { subscription: 's', 'message-id': second!.headers['message-id']! });
    const again = await client.next();
    expect(again.body.toString()).toBe('2');
    expect(again.headers['redelivered']).toBe('true');
  });

  it('two subscriptions of one connection are acknowledged apart', async () => {
    const destination = fresh();
    const client = await connected();
    for (const id of ['a/b', 'a']) {
      await client.ask('SUBSCRIBE', { id, destination, ack: 'client-individual', 'prefetch-count': '1' });
    }
    await publish(destination, '1', '2');
    const messages = await client.take(2);
    expect(new Set(messages.map(({ headers }) => headers['ack'])).size).toBe(2);
    const ofA = messages.find(({ headers }) => headers['subscription'] === 'a')!;
    await client.ask('ACK', { id: ofA.headers['ack']! });
    const next = await client.next();
    expect([next.headers['subscription'], next.body.toString()]).toEqual(['a', '2']);
  });

  it('of a message that needs none any more is ignored: twice, after UNSUBSCRIBE, or in mode auto', async () => {
    const destination = fresh();
    await publish(destination, '1');
    for (const ack of ['auto', 'client', 'client-individual'] as const) {
      for (const command of ['ACK', 'NACK']) {
        for (const version of ['1.1', '1.2'] as const) {
          const client = await subscribed(version, { destination, ack, since: 'earliest' });
          const { headers } = await client.next();
          const id =
            version === '1.2'
              ? { id: headers['ack'] ?? `${headers['message-id']!}/s` }
              : { subscription: 's', 'message-id': headers['message-id']! };
          await client.ask('ACK', id);
          expect((await client.ask(command, id)).command).toBe('RECEIPT');
          await client.ask('UNSUBSCRIBE', { id: 's' });
          expect((await client.ask(command, id)).command).toBe('RECEIPT');
          client.cut();
        }
      }
    }
  });

  it.each(['/topic/PRICE.STOCK.>', '/topic/>', '/topic/a.*.b', '/topic/a.#', '/exchange/amq.topic/*.a'])(
    'SUBSCRIBE to %s, a wildcard of another broker, is refused in words that help',
    async (destination) => {
      const client = await connected();
      const { headers, body } = await client.ask('SUBSCRIBE', { id: 's', destination });
      expect(headers['message']).toBe('bad_name');
      expect(body.toString()).toContain('/topic/a/**');
    },
  );

  it('takes the windows of other brokers that count messages, and refuses those that count bytes', async () => {
    for (const name of ['prefetch-count', 'activemq.prefetchSize', 'prefetch', 'x-prefetch-count']) {
      const destination = fresh();
      const client = await connected();
      await client.ask('SUBSCRIBE', { id: 's', destination, ack: 'client-individual', [name]: '1' });
      await publish(destination, '1', '2');
      const first = await client.next();
      expect((await client.ask('BEGIN', { transaction: 't' })).command).toBe('RECEIPT');
      await client.ask('ACK', { id: first.headers['ack']! });
      expect((await client.next()).body.toString()).toBe('2');
      client.cut();
    }
    const client = await connected();
    const { headers, body } = await client.ask('SUBSCRIBE', {
      id: 's',
      destination: fresh(),
      'consumer-window-size': '1',
    });
    expect(headers['message']).toBe('unsupported');
    expect(body.toString()).toContain('prefetch-count');
  });

  it('of a message of another subscription, or of none, is refused', async () => {
    const destination = fresh();
    await publish(destination, '1');
    for (const change of ['other subscription', 'other message', 'no cursor'] as const) {
      const client = await subscribed('1.1', { destination, ack: 'client', since: 'earliest' });
      const { headers } = await client.next();
      const id = { subscription: 's', 'message-id': headers['message-id']! };
      if (change === 'other subscription') id.subscription = 't';
      if (change === 'other message')
        id['message-id'] = id['message-id'].replace(/.$/, (last) => (last === '0' ? '1' : '0'));
      if (change === 'no cursor') id['message-id'] = 'nonsense';
      expect((await client.ask('ACK', id)).headers['message']).toBe('not_found');
    }
  });
});

describe('transactions', () => {
  it('COMMIT publishes all at once and acknowledges, ABORT does nothing of it', async () => {
    const destination = fresh();
    const reader = await connected();
    await reader.ask('SUBSCRIBE', { id: 'r', destination });
    const client = await connected();
    for (const [name, end] of [
      ['t1', 'ABORT'],
      ['t2', 'COMMIT'],
    ] as const) {
      await client.ask('BEGIN', { transaction: name });
      client.send('SEND', { destination, transaction: name }, `${name} a`);
      client.send('SEND', { destination, transaction: name }, `${name} b`);
      await client.ask(end, { transaction: name });
    }
    expect(await reader.bodies(2)).toEqual(['t2 a', 't2 b']);
  });

  it('acknowledgements wait for COMMIT', async () => {
    const destination = fresh();
    await publish(destination, '1', '2');
    const client = await connected();
    await client.ask('SUBSCRIBE', {
      id: 's',
      destination,
      ack: 'client-individual',
      since: 'earliest',
      'prefetch-count': '1',
    });
    const { headers } = await client.next();
    for (const end of ['ABORT', 'COMMIT']) {
      await client.ask('BEGIN', { transaction: 't' });
      client.send('ACK', { id: headers['ack']!, transaction: 't' });
      await client.ask('BEGIN', { transaction: `behind ${end}` });
      expect(client.frames.filter(({ command }) => command === 'MESSAGE')).toHaveLength(1);
      await client.ask(end, { transaction: 't' });
    }
    expect(await client.bodies(1)).toEqual(['2']);
  });

  it('answers its frames when they are done: by COMMIT', async () => {
    const destination = fresh();
    const client = await connected();
    client.send('BEGIN', { transaction: 't' });
    client.send('SEND', { destination, transaction: 't', receipt: 'sent' }, 'x');
    await client.ask('BEGIN', { transaction: 'behind' });
    expect(client.frames.some(({ headers }) => headers['receipt-id'] === 'sent')).toBe(false);
    client.send('COMMIT', { transaction: 't', receipt: 'committed' });
    expect((await client.take(2)).map(({ headers }) => headers['receipt-id'])).toEqual(['sent', 'committed']);
  });

  it('one refusal refuses all, and nothing is stored', async () => {
    const destination = fresh();
    await publish(destination, 'first');
    const client = await connected();
    await client.ask('SEND', { destination, key: 'k' }, 'taken');
    await client.ask('BEGIN', { transaction: 't' });
    client.send('SEND', { destination, transaction: 't' }, 'good');
    client.send('SEND', { destination, transaction: 't', key: 'k' }, 'another body');
    expect((await client.ask('COMMIT', { transaction: 't' })).headers['message']).toBe('conflict');
    const page = (await (await fetch(`${server.url}/channels${destination}`)).json()) as {
      messages: unknown[];
    };
    expect(page.messages).toHaveLength(2);
  });

  it('is given up when the connection ends', async () => {
    const destination = fresh();
    const client = await connected();
    client.send('BEGIN', { transaction: 't' });
    client.send('SEND', { destination, transaction: 't' }, 'never');
    await client.ask('BEGIN', { transaction: 'behind' });
    client.cut();
    await publish(destination, 'only');
    const page = (await (await fetch(`${server.url}/channels${destination}`)).json()) as {
      messages: unknown[];
    };
    expect(page.messages).toHaveLength(1);
  });
});

describe('a server that stops', () => {
  it.each(ways)('finishes what was asked, says when to come back, and closes, on %s', async (way) => {
    const stopping = await startTestServer({});
    const client = await StompClient.open(way === 'tcp' ? stopping.stomp! : stopping.url);
    clients.push(client);
    await client.connect();
    await client.ask('SUBSCRIBE', { id: 'a', destination: '/topic/a' });
    client.send('SEND', { destination: '/topic/a', receipt: 'asked before' }, 'x');
    await client.next();
    const stopped = stopping.stop();
    const { headers } = await client.error();
    expect(headers['message']).toBe('going_away');
    expect(Number(headers['retry-after-ms'])).toBeGreaterThan(0);
    expect(client.frames.some((frame) => frame.headers['receipt-id'] === 'asked before')).toBe(true);
    if (way === 'websocket') expect(client.closeCode).toBe(1001);
    await stopped;
  });
});

describe('a client that stops reading', () => {
  it.each(ways)('is held at its cursor, and catches up exactly, on %s', async (way) => {
    const destination = fresh();
    const reader = await connected('1.2', way);
    await reader.ask('SUBSCRIBE', { id: 'r', destination });
    reader.pause();
    const publisher = await connected();
    const body = 'x'.repeat(20_000);
    for (let at = 0; at < 400; at += 1) publisher.send('SEND', { destination }, `${at} ${body}`);
    await publisher.ask('BEGIN', { transaction: 't' });
    await publisher.ask('SEND', { destination }, 'last');
    reader.resume();
    const bodies = await reader.bodies(401);
    expect(bodies.slice(0, 400).map((text) => Number(text.split(' ')[0]))).toEqual(
      Array.from({ length: 400 }, (_, at) => at),
    );
  });
});

describe('connections that are gone', () => {
  const figures = async (): Promise<readonly string[]> => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return [
      ...text.matchAll(/^everywire_(?:connections|subscriptions_by_transport)\{transport="stomp"\} (\d+)$/gm),
    ].map(([, count]) => count!);
  };

  it('leave nothing behind, in any state', async () => {
    // What the tests before have cut is gone first.
    await expect.poll(figures, { timeout: 60_000 }).toEqual(['0', '0']);
    for (let round = 0; round < 200; round += 1) {
      const client = await open(ways[round % 2]);
      client.send('CONNECT', { 'accept-version': '1.2', 'client-id': `c${round % 7}` });
      client.send('SUBSCRIBE', { id: '1', destination: fresh(), durable: String(round % 3 === 0) });
      client.send('SUBSCRIBE', { id: '2', destination: '/topic/**', since: 'earliest', ack: 'client' });
      client.send('BEGIN', { transaction: 't' });
      client.send('SEND', { destination: fresh(), transaction: 't' }, 'x');
      if (round % 4 === 0) await client.until(() => client.frames.length > 0);
      if (round % 5 === 0) client.end();
      else client.cut();
    }
    await expect.poll(figures, { timeout: 60_000 }).toEqual(['0', '0']);
  });
});
