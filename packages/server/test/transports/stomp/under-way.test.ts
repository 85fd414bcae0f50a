import { expect, it } from 'vitest';
import { defaultLimits } from '../../../src/config/limits.ts';
import { createStompTransport } from '../../../src/transports/stomp/transport.ts';
import { HeldStore } from '../../core/held-store.ts';
import { startOnTcp } from '../tcp-rig.ts';
import { StompClient } from '../../../../../test/clients/stomp/client.ts';

it('does not read on from a client that has a megabyte of SEND under way', async () => {
  const { commandsInFlightBytesMax } = defaultLimits;
  const rig = await startOnTcp(createStompTransport);
  const [client, other] = [await StompClient.open(rig.url), await StompClient.open(rig.url)];
  for (const one of [client, other]) await one.connect();
  const body = 'x'.repeat(60_000);
  const store = new HeldStore(rig.hub);
  for (let at = 0; at < 60; at += 1)
    client.send('SEND', { destination: '/topic/a', receipt: String(at) }, body);
  await store.until(() => store.bytes >= commandsInFlightBytesMax - body.length);
  for (let at = 0; at < 20; at += 1) {
    await other.ask('BEGIN', { transaction: String(at) });
  }
  expect(store.bytes).toBeLessThanOrEqual(commandsInFlightBytesMax + body.length);
  store.release();
  const receipts = (await client.take(60)).map(({ headers }) => headers['receipt-id']);
  expect(receipts).toEqual(Array.from({ length: 60 }, (_, at) => String(at)));
  for (const one of [client, other]) one.cut();
  await rig.stop();
});
