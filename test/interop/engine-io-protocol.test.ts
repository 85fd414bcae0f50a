import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startEngineIoEcho, suiteIntervals, type EchoServer } from '../support/engine-io-echo.ts';
import { EnginePeer } from '../support/engine-peer.ts';

/**
 * Engine.IO 4 as its protocol document says, case by case of the public suite for implementers, against the engine alone
 * with an echo on top.
 */
describe('Engine.IO 4', () => {
  let server: EchoServer;
  let peers: EnginePeer[];

  beforeAll(async () => {
    server = await startEngineIoEcho();
    peers = [];
  });
  afterAll(async () => {
    for (const peer of peers) peer.end();
    await server.stop();
  });

  const { pingIntervalMs, pingTimeoutMs, payloadBytesMax } = suiteIntervals;
  const at = (query: string): string => `${server.url}/engine.io/?${query}`;
  const polling = 'EIO=4&transport=polling';
  const websocket = 'EIO=4&transport=websocket';

  function open(query: string): EnginePeer {
    const peer = new EnginePeer(at(query).replace('http', 'ws'));
    peers.push(peer);
    return peer;
  }
  async function get(query: string): Promise<{ status: number; text: string }> {
    const answer = await fetch(at(query));
    return { status: answer.status, text: await answer.text() };
  }
  async function post(query: string, body: string): Promise<{ status: number; text: string }> {
    const answer = await fetch(at(query), { method: 'POST', body });
    return { status: answer.status, text: await answer.text() };
  }
  async function beginPolling(): Promise<string> {
    const { text } = await get(polling);
    return `${polling}&sid=${(JSON.parse(text.slice(1)) as { sid: string }).sid}`;
  }
  async function beginWebSocket(): Promise<EnginePeer> {
    const peer = open(websocket);
    expect(await peer.next()).toMatch(/^0\{/);
    return peer;
  }
  async function probe(session: string): Promise<EnginePeer> {
    const peer = open(session.replace('polling', 'websocket'));
    await peer.opened;
    peer.send('2probe');
    expect(await peer.next()).toBe('3probe');
    return peer;
  }
  function handshakeOf(message: string | Buffer): unknown {
    expect(message).toMatch(/^0/);
    return JSON.parse(String(message).slice(1));
  }

  describe('handshake by polling', () => {
    it('opens a session, and says its bounds', async () => {
      const { status, text } = await get(polling);
      expect(status).toBe(200);
      expect(handshakeOf(text)).toEqual({
        sid: expect.any(String) as unknown,
        upgrades: ['websocket'],
        pingInterval: pingIntervalMs,
        pingTimeout: pingTimeoutMs,
        maxPayload: payloadBytesMax,
      });
    });

    it.each(['transport=polling', 'EIO=abc&transport=polling', 'EIO=4', 'EIO=4&transport=abc'])(
      'is refused with %s',
      async (query) => {
        expect((await get(query)).status).toBe(400);
      },
    );

    it.each(['POST', 'PUT'])('is refused by %s', async (method) => {
      expect((await fetch(at(polling), { method })).status).toBe(400);
    });
  });

  describe('handshake by WebSocket', () => {
    it('opens a session, which has no upgrades', async () => {
      expect(handshakeOf(await open(websocket).next())).toEqual({
        sid: expect.any(String) as unknown,
        upgrades: [],
        pingInterval: pingIntervalMs,
        pingTimeout: pingTimeoutMs,
        maxPayload: payloadBytesMax,
      });
    });

    it.each(['transport=websocket', 'EIO=abc&transport=websocket', 'EIO=4', 'EIO=4&transport=abc'])(
      'is refused with %s',
      async (query) => {
        expect(await open(query).opened).toBe(false);
      },
    );
  });

  describe('messages by polling', () => {
    it.each([
      ['one packet of text', '4hello'],
      ['several packets of text', '4test1\x1e4test2\x1e4test3'],
      ['text and binary', '4hello\x1ebAQIDBA=='],
    ])('come and go: %s', async (_, payload) => {
      const session = await beginPolling();
      expect(await post(session, payload)).toEqual({ status: 200, text: 'ok' });
      expect(await get(session)).toEqual({ status: 200, text: payload });
    });

    it('end the session when they are none', async () => {
      const session = await beginPolling();
      expect((await post(session, 'abc')).status).toBe(400);
      expect((await get(session)).status).toBe(400);
    });

    it('are polled for once at a time: a second poll ends the session', async () => {
      const session = await beginPolling();
      // Both are on their way before either is answered; which of them comes first is not said.
      const answers = await Promise.all([get(session), get(session)]);
      expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 400]);
      expect(answers.find(({ status }) => status === 200)!.text).toBe('1');
      expect((await get(session)).status).toBe(400);
    });
  });

  describe('messages by WebSocket', () => {
    it('come and go as text', async () => {
      const peer = await beginWebSocket();
      peer.send('4hello');
      expect(await peer.next()).toBe('4hello');
    });

    it('come and go as bytes', async () => {
      const peer = await beginWebSocket();
      peer.send(Buffer.from([1, 2, 3, 4]));
      expect(await peer.next()).toEqual(Buffer.from([1, 2, 3, 4]));
    });

    it('end the session when they are none', async () => {
      const peer = await beginWebSocket();
      peer.send('abc');
      await peer.closed;
    });
  });

  describe('heartbeat', () => {
    it('continues by polling as long as the client answers', async () => {
      const session = await beginPolling();
      for (let round = 0; round < 3; round += 1) {
        expect(await get(session)).toEqual({ status: 200, text: '2' });
        expect((await post(session, '3')).status).toBe(200);
      }
    });

    it('ends a session by polling that does not answer', async () => {
      const session = await beginPolling();
      await expect
        .poll(async () => (await get(session)).status, {
          interval: pingIntervalMs + pingTimeoutMs,
          timeout: 60_000,
        })
        .toBe(400);
    });

    it('continues by WebSocket as long as the client answers', async () => {
      const peer = await beginWebSocket();
      for (let round = 0; round < 3; round += 1) {
        expect(await peer.next()).toBe('2');
        peer.send('3');
      }
    });

    it('ends a session by WebSocket that does not answer', async () => {
      const peer = await beginWebSocket();
      expect(await peer.next()).toBe('2');
      await peer.closed;
    });
  });

  describe('close', () => {
    it('by polling lets the poll go that waits', async () => {
      const session = await beginPolling();
      const waiting = get(session);
      expect((await post(session, '1')).status).toBe(200);
      expect(await waiting).toEqual({ status: 200, text: '6' });
      expect((await get(session)).status).toBe(400);
    });

    it('by WebSocket closes it', async () => {
      const peer = await beginWebSocket();
      peer.send('1');
      await peer.closed;
    });
  });

  describe('upgrade', () => {
    it('lets the poll go, and carries on by WebSocket', async () => {
      const session = await beginPolling();
      const peer = await probe(session);
      expect(await get(session)).toEqual({ status: 200, text: '6' });
      peer.send('5', '4hello');
      expect(await peer.next()).toBe('4hello');
    });

    it('is the end of polling', async () => {
      const session = await beginPolling();
      const peer = await probe(session);
      peer.send('5', '4done');
      expect(await peer.next()).toBe('4done');
      expect((await get(session)).status).toBe(400);
      peer.send('4hello');
      expect(await peer.nextBesidePings()).toBe('4hello');
    });

    it('happens once: a second WebSocket is closed, and the first stays open', async () => {
      const session = await beginPolling();
      const peer = await probe(session);
      peer.send('5', '4done');
      expect(await peer.next()).toBe('4done');
      const second = open(session.replace('polling', 'websocket'));
      await second.closed;
      peer.send('4hello');
      expect(await peer.nextBesidePings()).toBe('4hello');
    });
  });
});
