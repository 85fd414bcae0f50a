import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { tryAll } from '../../support/try-all.ts';
import { cases, paths, publishMessage, subscribeMessage, type GrpcCase } from '../../cases/grpc.ts';
import { encodeFields } from '../../clients/grpc/hpack.ts';
import {
  callHead,
  codes,
  data,
  flags,
  frame,
  grpcMessage,
  head,
  Http2Peer,
  preface,
  types,
} from '../../clients/grpc/http2-peer.ts';

/** Only so much of a case is written byte by byte. */
const singleBytesUpTo = 300;
const handshakeTimeoutMs = 2_000;
/** A flood of 100,000 frames must not cost more than this, nor keep memory. */
const floodCpuMsMax = 2_000;
const floodBytesMax = 128 * 1024 * 1024;

const cancelled = Buffer.from('00000008', 'hex');
const eight = Buffer.alloc(8);

let server: TestServer;
let healthy: Http2Peer;
const opened: Http2Peer[] = [];
let runs = 0;

beforeAll(async () => {
  server = await startTestServer({ limits: { handshakeTimeoutMs, closeTimeoutMs: 200 } });
  healthy = await Http2Peer.open(server.grpc!);
  healthy.write(
    head(1, callHead(paths.subscribe)),
    data(1, grpcMessage(subscribeMessage('healthy')), flags.endStream),
  );
  await healthy.until(() => healthy.outcome(1).data.length > 0);
});
afterAll(async () => {
  for (const peer of [healthy, ...opened]) peer.cut();
  await server.stop();
});

async function open(): Promise<Http2Peer> {
  const peer = await Http2Peer.open(server.grpc!);
  opened.push(peer);
  return peer;
}

async function stored(channel: string): Promise<number> {
  const page = await (await fetch(`${server.url}/channels/${channel}`)).json();
  return (page as { messages: unknown[] }).messages.length;
}

async function expectAnswer(one: GrpcCase, peer: Http2Peer, channel: string): Promise<void> {
  const outcome = one.isFatal === true ? await peer.closed() : await peer.ended(1);
  expect(outcome).toMatchObject(one.expect);
  expect(outcome.fields).toMatchObject(one.fields ?? {});
  if (one.isFatal !== true) expect(outcome.goaway).toBeUndefined();
  expect(decodeURIComponent(outcome.fields['grpc-message'] ?? '')).not.toMatch(
    /\bat .*:\d+|node_modules|packages\//,
  );
  expect(await stored(channel)).toBe(one.expect.grpcStatus === 0 ? 1 : 0);
}

async function expectHealth(): Promise<void> {
  const before = healthy.outcome(1).data.length;
  await fetch(`${server.url}/channels/healthy`, { method: 'POST', body: 'x' });
  await healthy.until(() => healthy.outcome(1).data.length > before);
}

describe.each(cases)('$id $what', (one) => {
  test('whole; a call behind it is answered, unless the connection is over', async () => {
    const channel = `case/${(runs += 1)}`;
    const peer = await open();
    const behind = Buffer.concat([
      head(101, callHead(paths.publish)),
      data(101, grpcMessage(publishMessage(`${channel}/behind`)), flags.endStream),
    ]);
    peer.write(one.send(channel), behind);
    await expectAnswer(one, peer, channel);
    if (one.isFatal !== true) expect(await peer.ended(101)).toMatchObject({ status: 200, grpcStatus: 0 });
    expect(await stored(`${channel}/behind`)).toBe(one.isFatal === true ? 0 : 1);
    await expectHealth();
  });
});

test('every case in single bytes', async () => {
  await tryAll(cases, async (one) => {
    const channel = `case/${(runs += 1)}`;
    const peer = await open();
    const bytes = one.send(channel);
    const singles = Math.min(bytes.length, singleBytesUpTo);
    for (const byte of bytes.subarray(0, singles)) peer.write(Buffer.of(byte));
    peer.write(bytes.subarray(singles));
    await expectAnswer(one, peer, channel);
    peer.cut();
  });
});

// The frames are read by Node; messages within them are cut at every place in test/cases.
test('every case cut at four places stores nothing', async () => {
  await tryAll(cases, async (one) => {
    const channel = `case/${(runs += 1)}`;
    const bytes = one.send(channel);
    for (const part of [1 / 8, 1 / 3, 2 / 3, 1]) {
      const peer = await open();
      peer.write(bytes.subarray(0, Math.max(1, Math.floor((bytes.length - 1) * part))));
      peer.end();
      await peer.closed();
    }
    expect(await stored(channel)).toBe(0);
  });
  await expectHealth();
});

describe('over time', () => {
  test.each([
    ['nothing', async () => undefined],
    ['half a preface', async (peer: Http2Peer) => peer.write(preface.subarray(0, 10))],
    [
      'a preface byte by byte',
      async (peer: Http2Peer) => {
        for (const byte of preface) {
          peer.write(Buffer.of(byte));
          if (peer.isClosed) return;
          await new Promise((resolve) => setTimeout(resolve, (2 * handshakeTimeoutMs) / preface.length));
        }
      },
    ],
  ])('a connection that sends %s is cut in time', async (_what, send) => {
    const peer = await Http2Peer.connect(server.grpc!);
    opened.push(peer);
    const fromMs = performance.now();
    await send(peer);
    await peer.closed();
    expect(performance.now() - fromMs).toBeLessThan(handshakeTimeoutMs + 30_000);
  });

  test('one that calls nothing gets GOAWAY', async () => {
    const peer = await open();
    expect(await peer.closed()).toMatchObject({ goaway: codes.none });
  });

  test('one that is within a header block when its time is over is cut', async () => {
    const peer = await open();
    peer.write(head(1, callHead(paths.subscribe), 0));
    await peer.closed();
  });

  test('one that has called stays', async () => {
    const peer = await open();
    const publish = (stream: number): void =>
      peer.write(
        head(stream, callHead(paths.publish)),
        data(stream, grpcMessage(publishMessage('stays')), flags.endStream),
      );
    publish(1);
    expect(await peer.ended(1)).toMatchObject({ grpcStatus: 0 });
    // Another one that runs out of time tells when that time is over.
    await (await open()).closed();
    publish(3);
    expect(await peer.ended(3)).toMatchObject({ grpcStatus: 0 });
  });

  test('another preface is a protocol error', async () => {
    const peer = await Http2Peer.connect(server.grpc!);
    opened.push(peer);
    peer.write(Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'));
    expect(await peer.closed()).toMatchObject({ goaway: codes.protocol });
  });
});

describe('a Publish that is broken off before its end is not stored', () => {
  const whole = (channel: string): Buffer =>
    Buffer.concat([head(1, callHead(paths.publish)), data(1, grpcMessage(publishMessage(channel)))]);

  test('by a reset', async () => {
    const peer = await open();
    peer.write(whole('broken/reset'), frame(types.rstStream, 0, 1, cancelled));
    peer.write(
      head(3, callHead(paths.publish)),
      data(3, grpcMessage(publishMessage('broken/behind')), flags.endStream),
    );
    expect(await peer.ended(3)).toMatchObject({ grpcStatus: 0 });
    expect(await stored('broken/reset')).toBe(0);
  });

  test.each(['by the end of the connection', 'by a cut'])('%s', async (how) => {
    const peer = await open();
    peer.write(whole('broken/end'));
    await peer.until(() => peer.outcome(1).status === 200);
    if (how === 'by a cut') peer.cut();
    else peer.end();
    await peer.closed();
    await expectHealth();
    expect(await stored('broken/end')).toBe(0);
  });
});

describe('floods end with GOAWAY ENHANCE_YOUR_CALM, and cost next to nothing', () => {
  test.each<[string, number, (at: number) => Buffer]>([
    [
      'HEADERS and RST_STREAM',
      100_000,
      (at) =>
        Buffer.concat([
          head(2 * at + 1, callHead(paths.subscribe)),
          frame(types.rstStream, 0, 2 * at + 1, cancelled),
        ]),
    ],
    [
      'CONTINUATION',
      10_000,
      (at) =>
        at === 0
          ? head(1, callHead(paths.subscribe), 0)
          : frame(types.continuation, 0, 1, encodeFields([['x', 'y']])),
    ],
    [
      'empty CONTINUATION',
      10_000,
      (at) => (at === 0 ? head(1, callHead(paths.subscribe), 0) : frame(types.continuation, 0, 1)),
    ],
    ['PING', 100_000, () => frame(types.ping, 0, 0, eight)],
    ['SETTINGS', 100_000, () => frame(types.settings, 0, 0)],
    ['empty DATA', 100_000, (at) => (at === 0 ? head(1, callHead(paths.stream)) : data(1, Buffer.alloc(0)))],
    ['PRIORITY', 100_000, (at) => frame(2, 0, 2 * at + 1, Buffer.alloc(5))],
    ['frames of unknown types', 100_000, () => frame(0x63, 0, 0)],
  ])('%s', async (_what, count, make) => {
    const peer = await open();
    const cpu = process.cpuUsage();
    const rss = process.memoryUsage.rss();
    const chunk = 1_000;
    for (let at = 0; at < count && !peer.isClosed; at += chunk) {
      peer.write(...Array.from({ length: chunk }, (_, more) => make(at + more)));
      await peer.flushed();
      // The server runs in this process too.
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await peer.closed()).toMatchObject({ goaway: codes.calm });
    const { user, system } = process.cpuUsage(cpu);
    expect((user + system) / 1_000).toBeLessThan(floodCpuMsMax);
    expect(process.memoryUsage.rss() - rss).toBeLessThan(floodBytesMax);
    await expectHealth();
  });

  test('pings at a pace that clients have are answered', async () => {
    const peer = await open();
    peer.write(
      head(1, callHead(paths.subscribe)),
      data(1, grpcMessage(subscribeMessage('pinged')), flags.endStream),
    );
    await peer.until(() => peer.outcome(1).data.length > 0);
    for (let at = 0; at < 20; at += 1) peer.write(frame(types.ping, 0, 0, eight));
    const answers = (): number => peer.frames.filter(({ type }) => type === types.ping).length;
    await peer.until(() => answers() === 20);
    expect(peer.isClosed).toBe(false);
  });
});
