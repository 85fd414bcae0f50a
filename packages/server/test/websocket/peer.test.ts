import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { defaultLimits, type AllLimits } from '../../src/config/limits.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { acceptWebSocket } from '../../src/websocket/accept.ts';
import { frame, opcodes } from '@everywire/wires/websocket';
import { PeerGroup } from '../../src/websocket/peer-group.ts';
import type { WebSocketHandlers, WebSocketPeer } from '../../src/websocket/peer.ts';
import {
  clientFrame,
  closeFrame,
  continuation,
  textFrame,
} from '../../../../test/clients/websocket/client-frames.ts';
import { RawClient } from '../../../../test/clients/websocket/raw-client.ts';

type Peer = WebSocketPeer<undefined>;

/** A server that does what the handlers of a test say, and keeps its peers. */
class Rig {
  readonly peers: Peer[] = [];
  readonly closed: number[] = [];
  readonly errors: unknown[] = [];
  readonly group: PeerGroup<undefined>;
  readonly #http: Server;

  constructor(handlers: Partial<WebSocketHandlers<undefined>>, limits: Partial<AllLimits> = {}) {
    const ignore = () => undefined;
    this.group = new PeerGroup<undefined>({
      handlers: {
        onText: ignore,
        onBinary: ignore,
        onDrain: ignore,
        ...handlers,
        onClose: (_, code) => this.closed.push(code),
      },
      limits: { ...defaultLimits, ...limits },
      messageBytesMax: 65_536,
      clock: systemClock,
      log: {
        debug: ignore,
        info: ignore,
        warn: ignore,
        error: (fields) => this.errors.push((fields as { err: unknown }).err),
      },
    });
    this.#http = createServer();
    this.#http.on('upgrade', (request, socket, head: Buffer) => {
      const peer = acceptWebSocket(request, socket, head, { group: this.group, context: undefined });
      if (peer !== undefined) this.peers.push(peer);
    });
  }

  async open(): Promise<RawClient> {
    if (!this.#http.listening) {
      this.#http.listen(0, '127.0.0.1');
      await once(this.#http, 'listening');
    }
    return RawClient.open((this.#http.address() as AddressInfo).port, '/');
  }

  stop(): void {
    for (const peer of this.group) peer.destroy();
    this.#http.close();
  }
}

let rig: Rig;

afterEach(() => rig.stop());

const ping = (payload = '') => clientFrame({ opcode: 9, payload: Buffer.from(payload) });
const code = (value: number) => Buffer.of(value >> 8, value & 0xff);

describe('closing', () => {
  test('the peer says Close: it is answered, told once, and the connection ends', async () => {
    rig = new Rig({ onText: (peer) => peer.sendText('answer') });
    const client = await rig.open();
    client.write(Buffer.concat([textFrame('a'), closeFrame(code(4321)), textFrame('late'), ping()]));
    await client.until(() => client.isEnded);
    expect(client.frames.map(({ opcode }) => opcode)).toEqual([1, 8]);
    expect(client.closeCode).toBe(4321);
    expect(rig.closed).toEqual([4321]);
    client.socket.end();
    await rig.group.emptied();
  });

  test('we say Close: nothing but the answer is heard any more', async () => {
    const heard: string[] = [];
    rig = new Rig({
      onText: (peer, text) => {
        heard.push(text.toString());
        peer.close(1001, 'going_away');
        peer.sendText('not sent');
      },
    });
    const client = await rig.open();
    client.write(Buffer.concat([textFrame('first'), textFrame('second'), ping()]));
    await client.until(() => client.closeCode !== undefined);
    expect(client.closeReason).toBe('going_away');
    expect(client.isEnded).toBe(false);
    client.write(closeFrame(code(1001)));
    await client.until(() => client.isEnded);
    expect(heard).toEqual(['first']);
    expect(client.frames).toHaveLength(1);
    expect(rig.closed).toEqual([1001]);
    client.destroy();
  });

  test('a peer that does not answer our Close is cut in time', async () => {
    rig = new Rig({ onText: (peer) => peer.close(1000) }, { closeTimeoutMs: 50 });
    const client = await rig.open();
    client.write(textFrame('a'));
    await client.until(() => client.closeCode !== undefined);
    await client.until(() => client.isEnded);
    await rig.group.emptied();
  });

  test('so is one that keeps its half open after breaking the protocol', async () => {
    rig = new Rig({}, { closeTimeoutMs: 50 });
    const client = await rig.open();
    client.write(clientFrame({ opcode: 3, payload: Buffer.alloc(0) }));
    await client.until(() => client.isEnded);
    await rig.group.emptied();
    expect(rig.closed).toEqual([1002]);
    client.destroy();
  });

  test('a connection that breaks is 1006', async () => {
    rig = new Rig({});
    const reset = await rig.open();
    const halfClosed = await rig.open();
    reset.socket.resetAndDestroy();
    halfClosed.socket.end();
    await rig.group.emptied();
    expect(rig.closed).toEqual([1006, 1006]);
  });

  test('a handler that throws costs that connection, with 1011', async () => {
    rig = new Rig({
      onText: () => {
        throw new Error('a fault of ours');
      },
    });
    const client = await rig.open();
    client.write(textFrame('a'));
    await client.until(() => client.closeCode !== undefined);
    expect([client.closeCode, client.closeReason]).toEqual([1011, 'internal']);
    expect(rig.errors).toHaveLength(1);
    client.destroy();
  });
});

describe('the heartbeat', () => {
  test('pings a silent peer, and closes it when it stays silent', async () => {
    rig = new Rig({}, { heartbeatEveryMs: 64 });
    const silent = await rig.open();
    await silent.until(() => silent.closeCode !== undefined);
    expect(silent.frames.map(({ opcode }) => opcode)).toEqual([9, 9, 8]);
    expect([silent.closeCode, silent.closeReason]).toEqual([4000, 'timed_out']);
    silent.destroy();
  });

  test('keeps a peer that answers', async () => {
    rig = new Rig({}, { heartbeatEveryMs: 64 });
    const client = await rig.open();
    const pings = () => client.frames.filter(({ opcode }) => opcode === 9).length;
    for (let round = 1; round <= 4; round += 1) {
      await client.until(() => pings() >= round);
      client.write(clientFrame({ opcode: 10, payload: Buffer.alloc(0) }));
    }
    expect(client.closeCode).toBeUndefined();
    client.destroy();
  });
});

describe('floods', () => {
  test('of pings are answered up to the limit, then closed with 1008', async () => {
    rig = new Rig({}, { pingsPerSecondMax: 20 });
    const client = await rig.open();
    const flood = Buffer.concat(Array.from({ length: 10_000 }, () => ping('x')));
    for (let round = 0; round < 100; round += 1) client.write(flood);
    await client.until(() => client.closeCode !== undefined);
    expect(client.closeCode).toBe(1008);
    // A second may end within the flood, so there may be two times the limit.
    expect(client.frames.filter(({ opcode }) => opcode === 10).length).toBeLessThanOrEqual(40);
    client.destroy();
  });

  test('of one-byte continuations end at the limit', async () => {
    rig = new Rig({});
    const client = await rig.open();
    client.write(textFrame('a', false));
    const flood = Buffer.concat(Array.from({ length: 10_000 }, () => continuation('a', false)));
    const before = process.memoryUsage().arrayBuffers;
    for (let round = 0; round < 100; round += 1) client.write(flood);
    await client.until(() => client.closeCode !== undefined);
    expect(client.closeCode).toBe(1009);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * 1024 * 1024);
    client.destroy();
  });
});

describe('a peer that does not read', () => {
  test('is no longer read from, and resumes exactly when it reads again', async () => {
    let handled = 0;
    rig = new Rig({
      onText: (peer, text) => {
        handled += 1;
        peer.sendText(`${text.toString()} ${'x'.repeat(4_000)}`);
        expect(peer.unsentBytes).toBeLessThan(defaultLimits.outboundBytesMax);
      },
    });
    const client = await rig.open();
    client.socket.pause();
    const count = 20_000;
    const commands = Array.from({ length: count }, (_, at) => textFrame(String(at)));
    client.write(Buffer.concat(commands));
    const [peer] = rig.peers;
    // Neither the kernel's buffers nor ours hold all the answers, so it stops somewhere on the way.
    let last = -1;
    while (last !== handled || handled === 0) {
      last = handled;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(handled).toBeLessThan(count);
    expect(peer!.unsentBytes).toBeLessThan(256 * 1024);
    client.socket.resume();
    await client.until(() => client.frames.length === count, 20_000);
    expect(client.texts.every((text, at) => text.startsWith(`${at} `))).toBe(true);
    client.destroy();
  });

  test('makes send answer false, and onDrain follows once it reads', async () => {
    let drains = 0;
    rig = new Rig({ onDrain: () => (drains += 1) });
    const client = await rig.open();
    client.socket.pause();
    const [peer] = rig.peers;
    const bytes = frame(opcodes.binary, Buffer.alloc(4_096));
    let sent = 1;
    while (peer!.send(bytes)) {
      sent += 1;
      if (sent % 100 === 0) await new Promise(setImmediate);
    }
    // Node's own high-water mark is above ours, so that its drain event alone would never come.
    expect(peer!.unsentBytes).toBeLessThan(16 * 1024);
    expect(drains).toBe(0);
    client.socket.resume();
    await client.until(() => client.frames.length === sent, 20_000);
    while (drains === 0) await new Promise(setImmediate);
    expect(drains).toBe(1);
    expect(peer!.send(bytes)).toBe(true);
    client.destroy();
  });

  test('is answered behind a delivery that is larger than all answers may be together', async () => {
    rig = new Rig({ onText: (peer) => peer.sendText('answer') }, { outboundBytesMax: 65_536 });
    const client = await rig.open();
    client.socket.pause();
    const [peer] = rig.peers;
    const large = 16 * 1024 * 1024;
    expect(peer!.send(frame(opcodes.binary, Buffer.alloc(large)))).toBe(false);
    client.write(textFrame('command'));
    client.socket.resume();
    await client.until(() => client.texts.includes('answer'), 20_000);
    expect(client.frames[0]!.payload).toHaveLength(large);
    expect(rig.closed).toEqual([]);
    client.destroy();
  });

  test('is cut when its unsent bytes pass the bound', async () => {
    rig = new Rig(
      {
        onText: (peer) => {
          for (let at = 0; at < 10_000; at += 1) peer.sendText('x'.repeat(1_000));
        },
      },
      { outboundBytesMax: 65_536 },
    );
    const client = await rig.open();
    client.socket.pause();
    client.write(textFrame('a'));
    await rig.group.emptied();
    expect(rig.closed).toEqual([4001]);
    client.destroy();
  });
});

test('a paused peer is read again where it stopped', async () => {
  const heard: string[] = [];
  rig = new Rig({
    onText: (peer, text) => {
      heard.push(text.toString());
      peer.pause();
    },
  });
  const client = await rig.open();
  client.write(Buffer.concat([textFrame('1'), textFrame('2'), textFrame('3')]));
  while (heard.length === 0) await new Promise(setImmediate);
  const [peer] = rig.peers;
  client.write(textFrame('4'));
  for (let count = 1; count < 4; count += 1) {
    expect(heard).toHaveLength(count);
    peer!.resume();
    while (heard.length === count) await new Promise(setImmediate);
  }
  expect(heard).toEqual(['1', '2', '3', '4']);
  client.destroy();
});

test('answers of one turn leave together, and before later deliveries', async () => {
  rig = new Rig({
    onText: (peer, text) => {
      peer.sendText(`${text.toString()}1`);
      peer.sendText(`${text.toString()}2`);
      if (text.toString() === 'b') peer.send(frame(opcodes.text, Buffer.from('shared')));
    },
  });
  const client = await rig.open();
  client.write(Buffer.concat([textFrame('a'), textFrame('b'), textFrame('c')]));
  await client.until(() => client.texts.length === 7);
  expect(client.texts).toEqual(['a1', 'a2', 'b1', 'b2', 'shared', 'c1', 'c2']);
  client.destroy();
});
