import type { Envelope } from '@everywire/protocol';
import { EventSource } from 'eventsource';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { mosquittoClients } from '../../../scripts/tools.ts';
import { Inbox } from '../../drivers/inbox.ts';
import { endPrograms } from '../../support/program.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { describeWith } from '../tool-suite.ts';
import { publish, subscribe, type MosquittoVersion, type Told } from './mosquitto.ts';

const versions: readonly MosquittoVersion[] = ['mqttv31', 'mqttv311', 'mqttv5'];
const qualities = ['0', '1', '2'] as const;
const texts = (messages: readonly Told[]): readonly string[] => messages.map(({ payload }) => payload);
const five = ['one', 'two', 'three', 'four', 'five'];

describeWith(mosquittoClients, 'mosquitto_pub and mosquitto_sub', () => {
  let server: TestServer & { readonly mqtt: string };
  const sources: EventSource[] = [];
  beforeAll(async () => {
    const { mqtt, ...started } = await startTestServer({});
    server = { ...started, mqtt: mqtt! };
  });
  afterEach(() => {
    for (const source of sources.splice(0)) source.close();
  });
  afterAll(async () => {
    endPrograms();
    await server.stop();
  });

  async function post(channel: string, text: string, headers: Record<string, string> = {}): Promise<void> {
    const answer = await fetch(`${server.url}/channels/${channel}`, {
      method: 'POST',
      headers: { 'Content-Type': 'text/plain', ...headers },
      body: text,
    });
    expect(answer.status).toBe(201);
  }

  /** Follows a channel by Server-Sent Events; resolves when the stream is open. */
  async function followBySse(path: string): Promise<Inbox<Envelope>> {
    const source = new EventSource(`${server.url}/channels/${path}`);
    sources.push(source);
    const inbox = new Inbox<Envelope>();
    source.addEventListener('message', ({ data }) => inbox.push(JSON.parse(data as string) as Envelope));
    await new Promise((resolve) => source.addEventListener('open', resolve, { once: true }));
    return inbox;
  }

  for (const version of versions) {
    for (const qos of qualities) {
      it(`${version}, QoS ${qos}: every line, in order`, async () => {
        const topic = `lines/${version}/${qos}`;
        const reader = await subscribe(server, version, ['-t', topic, '-q', qos]);
        await publish(server, version, ['-t', topic, '-q', qos], five);
        const messages = await reader.first(five.length);
        expect(texts(messages)).toEqual(five);
        expect(messages.map((message) => message.qos)).toEqual(five.map(() => Number(qos)));
      });
    }

    it(`${version}: a retained message, until it is deleted`, async () => {
      const topic = `retained/${version}`;
      await publish(server, version, ['-t', topic, '-q', '1', '-r', '-m', 'kept']);
      const before = await subscribe(server, version, ['-t', topic]);
      expect(await before.first(1)).toMatchObject([{ payload: 'kept', retain: 1 }]);
      await publish(server, version, ['-t', topic, '-q', '1', '-r', '-n']);
      const after = await subscribe(server, version, ['-t', topic]);
      await publish(server, version, ['-t', topic, '-q', '1', '-m', 'live']);
      expect(await after.first(1)).toMatchObject([{ payload: 'live', retain: 0 }]);
    });

    it(`${version}: a will when the client is killed, none when it says goodbye`, async () => {
      const topic = `wills/${version}`;
      const watcher = await subscribe(server, version, ['-t', topic, '-q', '1']);
      const will = ['--will-topic', topic, '--will-qos', '1', '--will-payload'];
      const polite = await subscribe(server, version, [
        '-t',
        `other/${version}`,
        '-C',
        '1',
        ...will,
        'polite',
      ]);
      await publish(server, version, ['-t', `other/${version}`, '-q', '1', '-m', 'go']);
      await polite.program.done;
      const killed = await subscribe(server, version, ['-t', `other/${version}`, ...will, 'killed']);
      await killed.program.kill();
      expect(texts(await watcher.first(1))).toEqual(['killed']);
    });
  }

  for (const [version, expiry] of [
    ['mqttv311', []],
    ['mqttv5', ['-x', '3600']],
  ] as const) {
    it(`${version}: a killed session gets the messages of the meantime`, async () => {
      const topic = `sessions/${version}`;
      const session = ['-c', '-i', `session-${version}`, '-t', topic, '-q', '1', ...expiry];
      const first = await subscribe(server, version, session);
      await publish(server, version, ['-t', topic, '-q', '1', '-m', 'here']);
      expect(texts(await first.first(1))).toEqual(['here']);
      await first.program.kill();
      await publish(server, version, ['-t', topic, '-q', '2'], five);
      const second = await subscribe(server, version, session);
      await publish(server, version, ['-t', topic, '-q', '1', '-m', 'end']);
      await second.program.line((line) => line.includes('"payload":"end"'));
      // What it had not yet told the server that it has may come again.
      expect(texts(second.messages()).filter((text) => text !== 'here')).toEqual([...five, 'end']);
    });
  }

  it('mqttv5: a session whose expiry is over is a new one', async () => {
    const session = ['-c', '-i', 'short-lived', '-t', 'expiry', '-q', '1', '-x', '1'];
    const first = await subscribe(server, 'mqttv5', session);
    await first.program.kill();
    await publish(server, 'mqttv5', ['-t', 'expiry', '-q', '1', '-m', 'while away']);
    // A session ends a second after its connection did: time is what is tested here.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const second = await subscribe(server, 'mqttv5', session);
    await publish(server, 'mqttv5', ['-t', 'expiry', '-q', '1', '-m', 'back']);
    expect(texts(await second.first(1))).toEqual(['back']);
  });

  it('mqttv311, mqttv5: the members of a shared subscription get each message once', async () => {
    const members = await Promise.all(
      (['mqttv311', 'mqttv5'] as const).map((version) =>
        subscribe(server, version, ['-t', '$share/workers/jobs/#', '-q', '1']),
      ),
    );
    const jobs = Array.from({ length: 40 }, (_, index) => `job ${index}`);
    await publish(server, 'mqttv5', ['-t', 'jobs/new', '-q', '1'], jobs);
    const all = (): readonly string[] => members.flatMap(({ messages }) => texts(messages()));
    await expect.poll(() => all().length, { timeout: 60_000 }).toBe(jobs.length);
    expect([...all()].sort()).toEqual([...jobs].sort());
  });

  it('mqttv5: properties are what every other reader sees', async () => {
    const events = await followBySse('cross/json?format=envelope');
    const properties = [
      ['user-property', 'lang', 'ko'],
      ['user-property', 'source', 'sensor 1'],
      ['content-type', 'application/json'],
    ].flatMap((property) => ['-D', 'publish', ...property]);
    await publish(server, 'mqttv5', ['-t', 'cross/json', '-q', '2', '-m', '{"degrees":21.5}', ...properties]);
    expect(await events.next()).toMatchObject({
      channel: 'cross/json',
      offset: 1,
      type: 'application/json',
      data: { degrees: 21.5 },
      headers: { lang: 'ko', source: 'sensor 1' },
    });
  });

  it.each(versions)('%s: messages posted by HTTP arrive, at the granted QoS', async (version) => {
    const reader = await subscribe(server, version, ['-t', `posted/${version}/+`, '-q', '1']);
    await post(`posted/${version}/a`, 'hello', { 'Everywire-Meta-lang': 'en', 'Everywire-TTL': '60s' });
    const [message] = await reader.first(1);
    expect(message).toMatchObject({ topic: `posted/${version}/a`, qos: 1, retain: 0, payload: 'hello' });
    if (version !== 'mqttv5') return;
    expect(message!.properties).toMatchObject({
      'content-type': 'text/plain',
      'user-properties': { lang: 'en' },
    });
    expect(message!.properties!['message-expiry-interval']).toBeGreaterThan(50);
  });

  it.each(versions)('%s: $since replays, from a filter too', async (version) => {
    const channel = `replay/${version}`;
    for (const text of five) await post(`${channel}/x`, text);
    for (const [since, due] of [
      ['earliest', five],
      ['last-2', five.slice(-2)],
      ['-5m', five],
    ] as const) {
      for (const filter of [`${channel}/x`, `${channel}/#`]) {
        const reader = await subscribe(server, version, ['-t', `$since/${since}/${filter}`, '-q', '1']);
        const messages = await reader.first(due.length);
        expect(texts(messages)).toEqual(due);
        expect(new Set(messages.map(({ topic }) => topic))).toEqual(new Set([`${channel}/x`]));
        await reader.program.kill();
      }
    }
  });

  it('mqttv5: a cursor of MQTT works for Server-Sent Events, and the reverse', async () => {
    for (const text of five) await post('hop', text);
    const cursorOn = ['-D', 'subscribe', 'user-property', 'cursor', 'on'];
    const since = ['-D', 'subscribe', 'user-property', 'since', 'earliest'];
    const byMqtt = await subscribe(server, 'mqttv5', ['-t', 'hop', '-q', '1', ...since, ...cursorOn]);
    const [, second] = await byMqtt.first(five.length);
    const events = await followBySse(
      `hop?format=envelope&after=${encodeURIComponent(second!.properties!['user-properties']!['cursor']!)}`,
    );
    expect((await events.next()).data).toBe('three');
    const { cursor, data } = await events.next();
    expect(data).toBe('four');
    for (const back of [
      ['-t', `$since/${cursor}/hop`],
      ['-t', 'hop', '-D', 'subscribe', 'user-property', 'after', cursor],
    ]) {
      const again = await subscribe(server, 'mqttv5', ['-q', '1', ...back]);
      expect(texts(await again.first(1))).toEqual(['five']);
      await again.program.kill();
    }
  });
});
