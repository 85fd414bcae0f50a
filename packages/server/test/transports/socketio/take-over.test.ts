import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../../../../test/support/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({});
});
afterAll(() => server.stop());

/** Packets as they are, over a WebSocket of the runtime's own. */
class RawPeer {
  readonly packets: string[] = [];
  isClosed = false;
  readonly #socket: WebSocket;

  static async open(url: string): Promise<RawPeer> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    const peer = new RawPeer(socket);
    await peer.until((packet) => packet.startsWith('0'));
    return peer;
  }

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => this.packets.push(data as string));
    socket.addEventListener('close', () => (this.isClosed = true));
  }

  send(packet: string): void {
    this.#socket.send(packet);
  }

  close(): void {
    this.#socket.close();
  }

  async until(is: (packet: string) => boolean): Promise<string> {
    await expect.poll(() => this.packets.some(is), { timeout: 60_000 }).toBe(true);
    return this.packets.find(is)!;
  }
}

const isAnswer = (packet: string): boolean => packet.startsWith('43');
const isConnected = (packet: string): boolean => packet.startsWith('40{');

async function pidOf(peer: RawPeer): Promise<string> {
  const packet = await peer.until(isConnected);
  return (JSON.parse(packet.slice(2)) as { readonly pid: string }).pid;
}

async function leftBehind(filter: string): Promise<string> {
  const peer = await RawPeer.open(server.url);
  peer.send('40');
  const pid = await pidOf(peer);
  peer.send(`421["subscribe","${filter}"]`);
  await peer.until(isAnswer);
  peer.close();
  await expect.poll(() => peer.isClosed).toBe(true);
  return pid;
}

it('gives a session to one of two connections that come back to it at once', async () => {
  const pid = await leftBehind('taken');
  const peers = await Promise.all([RawPeer.open(server.url), RawPeer.open(server.url)]);
  for (const peer of peers) peer.send(`40{"pid":"${pid}"}`);
  await expect
    .poll(() => peers.filter((peer) => peer.isClosed || peer.packets.some(isConnected)).length)
    .toBe(2);
  await expect.poll(() => peers.filter(({ isClosed }) => isClosed).length).toBe(1);
  const left = peers.find(({ isClosed }) => !isClosed)!;
  expect(await pidOf(left)).toBe(pid);
  await fetch(`${server.url}/channels/taken`, { method: 'POST', body: 'hello' });
  await left.until((packet) => packet.includes('hello') || packet.startsWith('451-'));
  left.close();
});
