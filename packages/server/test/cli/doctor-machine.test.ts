import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkOwnPort } from '../../src/cli/doctor-machine.ts';
import { completeConfig, type LoadedConfig } from '../../src/config/load.ts';

let taken: Server;
let port: number;
beforeAll(async () => {
  taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  ({ port } = taken.address() as AddressInfo);
});
afterAll(() => taken.close());

/** As if that port were the unchanged default. */
function asDefault({ config, settings }: LoadedConfig): LoadedConfig {
  return { config, settings: settings.map((setting) => ({ ...setting, source: 'default' })) };
}

test('a taken port is bad when it was asked for, and doubtful when it is the default', async () => {
  const asked = completeConfig({ mqtt: { port } });
  expect(await checkOwnPort('mqtt', asked)).toMatchObject([{ verdict: 'bad' }]);
  const [finding] = await checkOwnPort('mqtt', asDefault(asked));
  expect(finding).toMatchObject({ verdict: 'doubtful' });
  expect(finding!.text).toMatch(/^Port \d+ on 127\.0\.0\.1 is taken.* MQTT would be off over TCP$/);
});

test('one that is off, or whose transport is, is not looked at', async () => {
  expect(await checkOwnPort('stomp', completeConfig({ stomp: { port: -1 } }))).toEqual([]);
  const off = completeConfig({ stomp: { port }, transports: { stomp: false } });
  expect(await checkOwnPort('stomp', off)).toEqual([]);
});
