import { readFileSync } from 'node:fs';
import * as tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestAuthority } from '../../../test/interop/tls/certificates.ts';
import { startTestServer, type TestServer } from '../../../test/support/server.ts';
import {
  Cut,
  Probe,
  Refused,
  Unreachable,
  Unsendable,
  type Arrival,
  type MessageArrival,
  type LinkKind,
  type Target,
  type Wire,
} from '../src/index.ts';

/** Name, wire and link of a way in. */
type Way = readonly [string, Wire, LinkKind];
const ways: readonly Way[] = [
  ['poll', 'poll', 'http'],
  ['longpoll', 'longpoll', 'http'],
  ['stream', 'stream', 'http'],
  ['sse', 'sse', 'http'],
  ['websocket', 'websocket', 'websocket'],
  ['socketio', 'socketio', 'websocket'],
  ['stomp', 'stomp', 'tcp'],
  ['stomp over WebSocket', 'stomp', 'websocket'],
  ['mqtt', 'mqtt', 'tcp'],
  ['mqtt over WebSocket', 'mqtt', 'websocket'],
  ['grpc', 'grpc', 'tcp'],
];

let server: TestServer;
let secure: TestServer;
let authority: TestAuthority;
const probes: Probe[] = [];

beforeAll(async () => {
  server = await startTestServer({});
  authority = new TestAuthority();
  const { cert, key } = authority.issueForLoopback();
  secure = await startTestServer({
    tls: { cert, key },
    mqtt: { port: -1, tlsPort: 0 },
    stomp: { port: -1, tlsPort: 0 },
  });
  tls.setDefaultCACertificates([...tls.getCACertificates('default'), readFileSync(authority.ca, 'utf8')]);
});
afterAll(async () => {
  for (const probe of probes) probe.close();
  await server.stop();
  await secure.stop();
  authority.dispose();
});

function targetOf([, wire, link]: Way, isSecure = false): Target {
  const { url, mqtt, mqtts, stomp, stomps, grpc } = isSecure ? secure : server;
  const own = new Map<Wire, string>([
    ['mqtt', (isSecure ? mqtts : mqtt)!],
    ['stomp', (isSecure ? stomps : stomp)!],
    ['grpc', `tcp://${grpc!}`],
  ]);
  const address = link === 'tcp' ? own.get(wire)! : url;
  const { hostname: host, port } = new URL(address.replace(/^\w+:/, 'http:'));
  return { wire, link, isSecure, host, port: Number(port) };
}

function probeAt(target: Target): Probe {
  const probe = new Probe(target);
  probes.push(probe);
  return probe;
}

let channels = 0;
const newChannel = (): string => `probes/${(channels += 1)}`;
const publication = (text: string) => ({ payload: Buffer.from(text), type: 'text/plain; charset=utf-8' });

function dataOf(arrival: Arrival): unknown {
  return arrival.kind === 'message'
    ? (JSON.parse(arrival.text) as { readonly data?: unknown }).data
    : undefined;
}

/** Takes arrivals one by one, so that a test can do something in between. */
class Following {
  readonly arrivals: AsyncGenerator<Arrival, void, undefined>;
  cursor: string | undefined;

  constructor(probe: Probe, channel: string, options: Parameters<Probe['follow']>[1] = {}) {
    this.arrivals = probe.follow(channel, options);
  }

  async next(kind: Arrival['kind']): Promise<Arrival> {
    for (;;) {
      const { value } = await this.arrivals.next();
      if (value === undefined) throw new Error('the stream has ended');
      if ('cursor' in value) this.cursor = value.cursor;
      if (value.kind === kind) return value;
    }
  }

  async message(): Promise<unknown> {
    return dataOf(await this.next('message'));
  }
}

describe.each(ways)('%s', (...way) => {
  test('publishes and follows over one probe, and counts', async () => {
    const channel = newChannel();
    const probe = probeAt(targetOf(way));
    const first = JSON.parse(await probe.publish(channel, publication('first'))) as {
      readonly cursor: string;
    };
    expect(first).toMatchObject({ channel, offset: 1, cursor: expect.any(String) });
    const following = new Following(probe, channel, { since: 'earliest' });
    expect(await following.message()).toBe('first');
    await probe.publish(channel, publication('second'));
    expect(await following.message()).toBe('second');
    expect(following.cursor).not.toBe(first.cursor);
    const { figures } = probe;
    expect(figures).toMatchObject({ published: 2, received: 2, gaps: 0, reconnects: 0 });
    if (targetOf(way).link !== 'http') expect(figures.connections).toBe(1);
    expect(figures.bytesRead).toBeGreaterThan(50);
    expect(figures.bytesWritten).toBeGreaterThan(50);
    probe.close();
    await expect(probe.publish(channel, publication('late'))).rejects.toThrow(Cut);
  });

  test('reads nothing while it is paused, and everything after', async () => {
    const channel = newChannel();
    const probe = probeAt(targetOf(way));
    const following = new Following(probe, channel);
    await following.next('open');
    const next = following.message();
    probe.pause();
    const other = probeAt(targetOf(ways[0]!));
    for (let at = 0; at < 3; at += 1) await other.publish(channel, publication(`m${at}`));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(probe.figures.received).toBe(0);
    probe.resume();
    expect([await next, await following.message(), await following.message()]).toEqual(['m0', 'm1', 'm2']);
    probe.close();
  });

  test('a server that is not there', async () => {
    const probe = probeAt({ ...targetOf(way), host: '127.0.0.1', port: 1 });
    await expect(probe.publish('a', publication('a'))).rejects.toThrow(Unreachable);
    await expect(new Following(probe, 'a').next('open')).rejects.toThrow('cannot be reached (ECONNREFUSED)');
    expect(probe.figures).toMatchObject({ connections: 0, bytesRead: 0 });
  });

  test('a refusal', async () => {
    const probe = probeAt(targetOf(way));
    await expect(new Following(probe, 'a', { after: 'no cursor' }).next('open')).rejects.toThrow(Refused);
    probe.close();
  });
});

describe.each(ways)('%s', (...way) => {
  test.each(['rst', 'fin'] as const)('cut by %s, it resumes from its cursor', async (how) => {
    const channel = newChannel();
    const probe = probeAt(targetOf(way));
    const following = new Following(probe, channel, { since: 'earliest' });
    await following.next('open');
    await probe.publish(channel, publication('before'));
    expect(await following.message()).toBe('before');
    const ended = following.next('message').catch((error: unknown) => error);
    probe.cut(how);
    expect(await ended).toBeInstanceOf(Cut);
    await probe.publish(channel, publication('meanwhile'));
    const again = new Following(probe, channel, { after: following.cursor });
    expect(await again.message()).toBe('meanwhile');
    expect(probe.figures).toMatchObject({ published: 2, received: 2, gaps: 0, reconnects: 1 });
    probe.close();
  });

  test('stalled, it neither reads nor ends', async () => {
    const channel = newChannel();
    const probe = probeAt(targetOf(way));
    const following = new Following(probe, channel);
    await following.next('open');
    const next = following.message().then(
      () => 'a message',
      () => 'an end',
    );
    probe.cut('stall');
    await probeAt(targetOf(ways[0]!)).publish(channel, publication('unheard'));
    const timedOut = new Promise((resolve) => setTimeout(() => resolve('nothing'), 300));
    expect(await Promise.race([next, timedOut])).toBe('nothing');
    probe.cut('rst');
    expect(await next).toBe('an end');
  });
});

describe.each(ways.filter(([name]) => name !== 'mqtt over WebSocket'))('%s over TLS', (...way) => {
  test.each(['rst', 'fin'] as const)('publishes, follows, and resumes after a cut by %s', async (how) => {
    const channel = newChannel();
    const probe = probeAt(targetOf(way, true));
    await probe.publish(channel, publication('first'));
    const following = new Following(probe, channel, { since: 'earliest' });
    expect(await following.message()).toBe('first');
    probe.cut(how);
    await following.arrivals.return().catch(() => undefined);
    await probe.publish(channel, publication('second'));
    const again = new Following(probe, channel, { after: following.cursor });
    expect(await again.message()).toBe('second');
    expect(probe.figures).toMatchObject({ published: 2, received: 2, reconnects: 1 });
    probe.close();
  });
});

describe('acknowledgement by hand', () => {
  test.each([
    ['mqtt', 'mqtt', 'tcp'],
    ['stomp', 'stomp', 'tcp'],
  ] as const)('%s: an unacknowledged message goes to another member of the group', async (...way) => {
    const channel = newChannel();
    const group = `$share/probes/${channel}`;
    const first = probeAt(targetOf(way));
    const following = new Following(first, group, { acks: 'manual' });
    await following.next('open');
    const publisher = probeAt(targetOf(ways[0]!));
    for (const text of ['one', 'two', 'three']) await publisher.publish(channel, publication(text));
    const messages: MessageArrival[] = [];
    for (let at = 0; at < 3; at += 1) messages.push((await following.next('message')) as MessageArrival);
    expect(messages.map(dataOf)).toEqual(['one', 'two', 'three']);
    messages[0]!.ack!();
    messages[1]!.ack!();
    await first.publish(newChannel(), publication('behind the acknowledgements'));
    const second = new Following(probeAt(targetOf(way)), group, { acks: 'manual' });
    await second.next('open');
    first.cut('rst');
    expect(await second.message()).toBe('three');
  });

  test.each(ways.filter(([, wire]) => wire !== 'mqtt' && wire !== 'stomp'))('%s has none', async (...way) => {
    const following = new Following(probeAt(targetOf(way)), newChannel(), { acks: 'manual' });
    await expect(following.next('open')).rejects.toThrow(Unsendable);
  });
});

test('the signal closes a probe', async () => {
  const stop = new AbortController();
  const probe = new Probe(targetOf(ways[3]!), { signal: stop.signal });
  const following = new Following(probe, newChannel());
  await following.next('open');
  const ended = following.next('message').catch((error: unknown) => error);
  stop.abort();
  expect(await ended).toBeInstanceOf(Cut);
  await expect(probe.publish('a', publication('late'))).rejects.toThrow('no time was left');
});
