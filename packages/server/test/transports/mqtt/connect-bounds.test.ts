import { connect as connectTcp } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTokenServer, token, type TokenServer } from '../token-server.ts';
import { startTestServer, type TestServer } from './clients.ts';
import { everything, shows } from './auth-clients.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';

/** How large a CONNECT may be, and how one is answered that is larger or of a level that is not spoken. */

const willOf = (bytes: number) =>
  ({ topic: 'wills/x', payload: Buffer.alloc(bytes, 'w'), qos: 1, retain: false, properties: {} }) as const;

/** Bytes that the server sends until it closes the connection. */
function answerTo(url: string, bytes: Buffer): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host: hostname, port: Number(port) });
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', reject);
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('hex')));
    socket.write(bytes);
  });
}

/** The head of a CONNECT, and nothing behind it. */
function headOf(name: string, level: number, remainingBytes: number): Buffer {
  const length: number[] = [];
  for (let rest = remainingBytes; ;) {
    const byte = rest & 0x7f;
    rest >>= 7;
    length.push(rest > 0 ? byte | 0x80 : byte);
    if (rest === 0) break;
  }
  return Buffer.from([0x10, ...length, 0, name.length, ...Buffer.from(name), level]);
}

const tooLarge = 200_000_000;

describe('while authentication is off', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ store: 'memory:' });
  });
  afterAll(() => server.stop());

  test.each([
    { version: 4, url: () => server.mqtt! },
    { version: 5, url: () => server.mqtt! },
    { version: 5, url: () => server.url },
  ] as const)(
    'a will of 60 KB is taken and published, in MQTT version $version',
    async ({ version, url }) => {
      const { client: reader } = await RawClient.connected(server.mqtt!);
      await reader.subscribe('wills/#');
      const { client, connack } = await RawClient.connected(url(), { version, will: willOf(60_000) });
      expect(connack.reasonCode).toBe(0);
      client.cut();
      expect((await reader.next('publish')).payload).toHaveLength(60_000);
      reader.disconnect();
    },
  );

  test.each([
    { name: 'MQTT', level: 5, answer: /^20..95/ },
    { name: 'MQTT', level: 4, answer: /^20020005$/ },
    { name: 'MQIsdp', level: 3, answer: /^20020005$/ },
  ])(
    'a CONNECT of 200 MB of $name $level is answered from its first bytes',
    async ({ name, level, answer }) => {
      const said = await answerTo(server.mqtt!, headOf(name, level, tooLarge));
      expect(said.replace(/^20(..)00/, '20$1')).toMatch(level === 5 ? answer : /^200205$/);
    },
  );

  test.each([
    { name: 'MQTT', level: 0 },
    { name: 'MQTT', level: 3 },
    { name: 'MQTT', level: 0x83 },
    { name: 'MQIsdp', level: 4 },
    { name: 'MQIsdp', level: 5 },
    { name: 'MQIsdp', level: 6 },
  ])('the level $level of $name is answered as its client reads it', async ({ name, level }) => {
    const whole = Buffer.concat([headOf(name, level, name.length + 8), Buffer.from([2, 0, 60, 0, 1, 0x61])]);
    expect(await answerTo(server.mqtt!, whole)).toBe('20020001');
    expect(await answerTo(server.mqtt!, headOf(name, level, tooLarge))).toBe('20020001');
  });

  test('the level 6 of MQTT is answered in the form of MQTT 5', async () => {
    const whole = Buffer.concat([headOf('MQTT', 6, 12), Buffer.from([2, 0, 60, 0, 1, 0x61])]);
    expect(await answerTo(server.mqtt!, whole)).toMatch(/^20..0084/);
  });
});

describe('while authentication is on', () => {
  let server: TokenServer;
  beforeAll(async () => {
    server = await startTokenServer({ store: 'memory:' });
  });
  afterAll(() => server.stop());

  test.each([4, 5] as const)('a CONNECT has at most 64 KiB, in MQTT version %d', async (version) => {
    const shown = shows(await token({ sub: 'ann', ...everything }));
    const { client, connack } = await RawClient.connected(server.mqtt!, {
      version,
      ...shown,
      will: willOf(60_000),
    });
    expect(connack.reasonCode).toBe(0);
    client.disconnect();
    const larger = await RawClient.connected(server.mqtt!, { version, ...shown, will: willOf(65_535) });
    expect(larger.connack.reasonCode).toBe(version === 5 ? 0x95 : 0x87);
    await larger.client.closed;
  });
});
