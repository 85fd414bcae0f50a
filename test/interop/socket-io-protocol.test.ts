import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EchoServer } from '../support/engine-io-echo.ts';
import { EnginePeer } from '../support/engine-peer.ts';
import { startSocketIoEcho } from '../support/socket-io-echo.ts';

/**
 * Socket.IO 5 as its protocol document says, case by case of the public suite for implementers. Its cases about Engine.IO
 * are those of `engine-io-protocol.test.ts`.
 */
describe('Socket.IO 5', () => {
  let server: EchoServer;
  let peers: EnginePeer[];

  beforeAll(async () => {
    server = await startSocketIoEcho();
    peers = [];
  });
  afterAll(async () => {
    for (const peer of peers) peer.end();
    await server.stop();
  });

  async function begin(): Promise<EnginePeer> {
    const url = `${server.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`;
    const peer = new EnginePeer(url);
    peers.push(peer);
    expect(await peer.next()).toMatch(/^0\{/);
    return peer;
  }
  /** In the main namespace, with the fixture's greeting read. */
  async function connect(): Promise<EnginePeer> {
    const peer = await begin();
    peer.send('40');
    expect(await peer.next()).toMatch(/^40\{"sid":"[^"]+"\}$/);
    expect(await peer.next()).toBe('42["auth",{}]');
    return peer;
  }

  describe('CONNECT', () => {
    it.each([
      ['to the main namespace', '40', '40', '42["auth",{}]'],
      ['to the main namespace with auth', '40{"token":"123"}', '40', '42["auth",{"token":"123"}]'],
      ['to another namespace', '40/custom,', '40/custom,', '42/custom,["auth",{}]'],
      [
        'to another namespace with auth',
        '40/custom,{"token":"abc"}',
        '40/custom,',
        '42/custom,["auth",{"token":"abc"}]',
      ],
    ])('%s', async (_, packet, answer, greeting) => {
      const peer = await begin();
      peer.send(packet);
      const connected = String(await peer.next());
      expect(connected.startsWith(`${answer}{`)).toBe(true);
      expect(JSON.parse(connected.slice(answer.length))).toEqual({ sid: expect.any(String) as unknown });
      expect(await peer.next()).toBe(greeting);
    });

    it('to an unknown namespace is answered with the reason', async () => {
      const peer = await begin();
      peer.send('40/random');
      expect(await peer.next()).toBe('44/random,{"message":"Invalid namespace"}');
    });

    it('that is invalid closes the connection', async () => {
      const peer = await begin();
      peer.send('4abc');
      await peer.closed;
    });

    it('that never comes closes the connection', async () => {
      const peer = await begin();
      expect(await peer.nextBesidePings()).toBe('closed');
    });
  });

  describe('DISCONNECT', () => {
    it('from the main namespace leaves the connection open', async () => {
      const peer = await connect();
      peer.send('41');
      expect(await peer.next()).toBe('2');
    });

    it('from one namespace leaves the others as they are', async () => {
      const peer = await connect();
      peer.send('40/custom');
      expect(await peer.nextBesidePings()).toMatch(/^40\/custom,\{/);
      expect(await peer.nextBesidePings()).toBe('42/custom,["auth",{}]');
      peer.send('41/custom', '42["message","message to main namespace"]');
      expect(await peer.nextBesidePings()).toBe('42["message-back","message to main namespace"]');
    });
  });

  describe('EVENT and ACK', () => {
    const [first, second] = [Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6])];
    const placeholders = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}';

    it.each<[string, readonly (string | Buffer)[], readonly (string | Buffer)[]]>([
      ['of text', ['42["message",1,"2",{"3":[true]}]'], ['42["message-back",1,"2",{"3":[true]}]']],
      [
        'with attachments',
        [`452-["message",${placeholders}]`, first, second],
        [`452-["message-back",${placeholders}]`, first, second],
      ],
      [
        'of text, acknowledged',
        ['42456["message-with-ack",1,"2",{"3":[false]}]'],
        ['43456[1,"2",{"3":[false]}]'],
      ],
      [
        'with attachments, acknowledged',
        [`452-789["message-with-ack",${placeholders}]`, first, second],
        [`462-789[${placeholders}]`, first, second],
      ],
    ])('%s', async (_, packets, answers) => {
      const peer = await connect();
      peer.send(...packets);
      for (const answer of answers) expect(await peer.nextBesidePings()).toEqual(answer);
    });

    it.each([
      ['an unknown type', '4abc'],
      ['a payload that is no array', '42{}'],
      ['an id that is no number', '42abc["message-with-ack",1,"2",{"3":[false]}]'],
    ])('with %s closes the connection', async (_, packet) => {
      const peer = await connect();
      peer.send(packet);
      await peer.closed;
    });
  });
});
