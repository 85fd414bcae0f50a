import { expect, test } from 'vitest';
import { drivers } from '../../../../test/drivers/index.ts';
import { startTestServer } from '../../../../test/support/server.ts';

/** The figures of one name, by transport. */
async function figuresOf(url: string, name: string): Promise<Readonly<Record<string, number>>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const found = text.matchAll(new RegExp(`^${name}\\{transport="(\\w+)"\\} (\\d+)$`, 'gm'));
  return Object.fromEntries([...found].map(([, transport, value]) => [transport!, Number(value)]));
}

test('sessions and subscriptions are counted by transport, while they are open', async () => {
  const server = await startTestServer({});
  const wanted = ['stream', 'websocket everywire.v1', 'socket.io websocket', 'stomp TCP', 'mqtt 5 TCP QoS 1'];
  const chosen = drivers.filter(({ name }) => wanted.includes(name));
  const readers = await Promise.all(chosen.map((driver) => driver.read(server, 'demo')));
  const expected = { stream: 1, websocket: 1, socketio: 1, stomp: 1, mqtt: 1 };
  for (const name of ['everywire_connections', 'everywire_subscriptions_by_transport']) {
    expect(await figuresOf(server.url, name)).toMatchObject(expected);
  }
  for (const reader of readers) reader.cut();
  const isGone = async (): Promise<boolean> => {
    const open = await figuresOf(server.url, 'everywire_subscriptions_by_transport');
    return Object.values(open).every((count) => count === 0);
  };
  while (!(await isGone())) await new Promise((resolve) => setTimeout(resolve, 10));
  await server.stop();
});
