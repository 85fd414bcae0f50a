import { afterEach, beforeEach, expect, test } from 'vitest';
import { defaultLimits } from '../../../src/config/limits.ts';
import { createMqttTransport } from '../../../src/transports/mqtt/transport.ts';
import { HeldStore } from '../../core/held-store.ts';
import { startOnTcp, type TcpRig } from '../tcp-rig.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';

let rig: TcpRig;
beforeEach(async () => {
  rig = await startOnTcp(createMqttTransport);
});
afterEach(() => rig.stop());

const { commandsInFlightBytesMax, mqttUnreleasedMax } = defaultLimits;

test.each([
  [4, 0],
  [4, 1],
  [4, 2],
  [5, 0],
  [5, 1],
] as const)('version %d, QoS %d: nothing is read beyond a megabyte under way', async (version, qos) => {
  const { client } = await RawClient.connected(rig.url, { version });
  const { client: other } = await RawClient.connected(rig.url);
  const payload = 'x'.repeat(60_000);
  const store = new HeldStore(rig.hub);
  for (let count = 0; count < 60; count += 1) client.publish('a', payload, { qos });
  client.send({ type: 'pingreq' });
  await store.until(() => store.bytes >= commandsInFlightBytesMax - payload.length);
  for (let asked = 0; asked < 20; asked += 1) await other.settled();
  expect(store.bytes).toBeLessThanOrEqual(commandsInFlightBytesMax + payload.length);
  store.release();
  await client.next('pingresp');
  const answers = client.packets.filter(({ type }) => type === (qos === 2 ? 'pubrec' : 'puback'));
  expect(answers).toHaveLength(qos === 0 ? 0 : 60);
  for (const one of [client, other]) one.disconnect();
});

test('a client of 3.1.1 that releases nothing is cut off at the bound, and one that does continues', async () => {
  const publishAll = (client: RawClient, count: number): void => {
    const packets = Array.from({ length: count }, (_, at) => {
      const packetId = Buffer.alloc(2);
      packetId.writeUInt16BE(at + 1);
      return Buffer.concat([Buffer.from([0x34, 6, 0, 1, 0x61]), packetId, Buffer.from('x')]);
    });
    client.write(Buffer.concat(packets));
  };
  const { client: good } = await RawClient.connected(rig.url, { version: 4 });
  publishAll(good, mqttUnreleasedMax);
  good.send({ type: 'pingreq' });
  await good.next('pingresp');
  // What is repeated is not one more.
  good.publish('a', 'x', { qos: 2, packetId: 1, dup: true });
  good.send({ type: 'pubrel', packetId: 2, reasonCode: 0, properties: {} });
  await good.next('pubcomp');
  good.publish('a', 'y', { qos: 2, packetId: 2 });
  await good.settled();
  const { client: bad } = await RawClient.connected(rig.url, { version: 4 });
  publishAll(bad, mqttUnreleasedMax + 1);
  await bad.closed;
  expect(bad.packets.filter(({ type }) => type === 'pubrec').length).toBeLessThanOrEqual(mqttUnreleasedMax);
  await good.settled();
  good.disconnect();
});
