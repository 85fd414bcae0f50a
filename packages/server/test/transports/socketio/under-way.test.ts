import { once } from 'node:events';
import { io, type Socket } from 'socket.io-client';
import { expect, it } from 'vitest';
import { defaultLimits } from '../../../src/config/limits.ts';
import { HeldStore } from '../../core/held-store.ts';
import { IoRig } from './rig.ts';

async function connect(url: string): Promise<Socket> {
  const socket = io(url, { transports: ['websocket'], forceNew: true, reconnection: false });
  await once(socket as never, 'connect');
  return socket;
}

it('does not read on from a client that has a megabyte of publishes under way', async () => {
  const rig = await IoRig.start();
  const [client, other] = [await connect(rig.url), await connect(rig.url)];
  const store = new HeldStore(rig.hub);
  const data = 'x'.repeat(60_000);
  const published = Array.from(
    { length: 60 },
    () => client.emitWithAck('publish', 'a', data) as Promise<{ readonly ok: boolean }>,
  );
  await store.until(() => store.bytes >= defaultLimits.commandsInFlightBytesMax - data.length);
  for (let asked = 0; asked < 20; asked += 1) await other.emitWithAck('unsubscribe', 'nothing');
  expect(store.bytes).toBeLessThanOrEqual(defaultLimits.commandsInFlightBytesMax + data.length);
  store.release();
  expect((await Promise.all(published)).every(({ ok }) => ok)).toBe(true);
  client.close();
  other.close();
  await rig.stop();
  expect(rig.errors).toEqual([]);
});
