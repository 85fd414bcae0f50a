import { once, type EventEmitter } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { IDisconnectPacket, MqttClient } from 'mqtt';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connect, ways, type Client } from '../../packages/server/test/transports/mqtt/clients.ts';
import { debianPython, mosquittoClients, pahoForPython } from '../../scripts/tools.ts';
import { endPrograms, runProgram } from '../support/program.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { mint, testSecret, type MintedClaims } from '../support/tokens.ts';
import { describeWith } from './tool-suite.ts';

/** Tokens shown by clients of others, to a server as its configuration makes it. */

let server: TestServer;
const clients: MqttClient[] = [];
beforeAll(async () => {
  server = await startTestServer({ auth: { jwt: { secret: testSecret } } });
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)));
});
afterAll(async () => {
  endPrograms();
  await server.stop();
});

const everything = { subscribe: ['**'], publish: ['**'] };
const token = (claims: MintedClaims) => mint(testSecret, claims);
const inSeconds = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds;
const events = (client: MqttClient) => client as unknown as EventEmitter;
const way5 = ways[1];

async function open(
  way: Parameters<typeof connect>[1],
  claims: MintedClaims,
  options: Parameters<typeof connect>[2] = {},
): Promise<Client> {
  const client = await connect(server, way, { username: '', password: await token(claims), ...options });
  clients.push(client.mqtt);
  return client;
}

async function publishAs(claims: MintedClaims, channel: string, text: string): Promise<void> {
  const answer = await fetch(`${server.url}/channels/${channel}`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${await token(claims)}`, 'Content-Type': 'text/plain' },
    body: text,
  });
  expect(answer.status).toBe(201);
}

async function revoke(what: { readonly sub: string } | { readonly jti: string }): Promise<void> {
  const answer = await fetch(`${server.url}/tokens/revoke`, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${await token({ sub: 'root', admin: true })}`,
      'Content-Type': 'application/json',
    },
    body: JSON.stringify(what),
  });
  expect(answer.status).toBe(200);
}

const writer = { sub: 'writer', ...everything };

describe.each(ways)('the npm client, $name', (way) => {
  const base = `npm/${way.protocolVersion}/${way.isWebSocket ? 'ws' : 'tcp'}`;
  const claims = { sub: 'ann', subscribe: [`${base}/**`, `!${base}/secret`], publish: [`${base}/open`] };

  it('connects with a token, and is refused with an invalid one', async () => {
    await expect(connect(server, way, { username: '', password: 'none' })).rejects.toMatchObject({
      code: way.protocolVersion === 5 ? 0x86 : 4,
    });
    const client = await open(way, claims, { username: 'ann' });
    const { mqtt } = client;
    await expect(mqtt.subscribeAsync(`${base}/secret`, { qos: 1 })).rejects.toMatchObject({
      packet: { granted: [way.protocolVersion === 5 ? 0x87 : 0x80] },
    });
    await mqtt.subscribeAsync(`${base}/+`, { qos: 1 });
    await publishAs(writer, `${base}/secret`, 'no');
    await mqtt.publishAsync(`${base}/open`, 'yes', { qos: 1 });
    expect((await client.next()).payload.toString()).toBe('yes');
    const refused = mqtt.publishAsync(`${base}/other`, 'no', { qos: 1 });
    if (way.protocolVersion === 5) {
      await expect(refused).rejects.toMatchObject({ code: 0x87 });
    } else {
      refused.catch(() => undefined);
      await once(events(mqtt), 'close');
    }
  });

  it('receives the end of its token, and resumes with the next one', async () => {
    const session = { clientId: base, clean: false, properties: { sessionExpiryInterval: 600 } };
    const { properties, ...older } = session;
    const options = way.protocolVersion === 5 ? { ...older, properties } : older;
    const first = await open(way, { ...claims, exp: inSeconds(2) }, options);
    await first.mqtt.subscribeAsync(`${base}/+`, { qos: 1 });
    const told = once(events(first.mqtt), 'disconnect') as Promise<[IDisconnectPacket]>;
    await once(events(first.mqtt), 'close');
    if (way.protocolVersion === 5) expect((await told)[0].reasonCode).toBe(0x87);
    await publishAs(writer, `${base}/open`, 'meanwhile');
    const second = await open(way, claims, options);
    expect(second.sessionPresent).toBe(true);
    expect((await second.next()).payload.toString()).toBe('meanwhile');
  });

  it('is cut off by a revocation, and gets no message of the meantime without the right', async () => {
    const sub = `revoked ${base}`;
    const session = { clientId: sub, clean: false };
    const options =
      way.protocolVersion === 5 ? { ...session, properties: { sessionExpiryInterval: 600 } } : session;
    const first = await open(way, { sub, subscribe: [`${base}/**`], jti: sub }, options);
    await first.mqtt.subscribeAsync(`${base}/+`, { qos: 1 });
    const startedMs = performance.now();
    const closed = once(events(first.mqtt), 'close');
    await revoke({ jti: sub });
    await closed;
    expect(performance.now() - startedMs).toBeLessThan(30_000);
    for (const name of ['secret', 'open']) await publishAs(writer, `${base}/${name}`, `${name} while away`);
    const second = await open(way, { ...claims, sub }, options);
    expect(second.sessionPresent).toBe(true);
    expect((await second.next()).payload.toString()).toBe('open while away');
    await publishAs(writer, `${base}/secret`, 'no');
    await publishAs(writer, `${base}/open`, 'end');
    expect((await second.next()).payload.toString()).toBe('end');
    // Another subject with that client id has a separate session.
    const other = await open(way, { sub: 'bob', subscribe: ['elsewhere'] }, options);
    expect(other.sessionPresent).toBe(false);
    expect(second.mqtt.connected).toBe(true);
  });
});

it('the npm client authenticates again with AUTH, and stays connected after its first token expires', async () => {
  const claims = { sub: 'ann', ...everything };
  const brief = await token({ ...claims, exp: inSeconds(2) });
  const properties = { authenticationMethod: 'jwt', authenticationData: Buffer.from(brief) };
  const client = await connect(server, way5, { properties });
  const { mqtt } = client;
  clients.push(mqtt);
  await mqtt.subscribeAsync('npm/again', { qos: 1 });
  const answered = new Promise<Parameters<MqttClient['handleAuth']>[0]>((resolve) => {
    mqtt.handleAuth = (packet, callback) => {
      resolve(packet);
      callback();
    };
  });
  const witness = await open(way5, { ...claims, exp: inSeconds(2) });
  const authenticationData = Buffer.from(await token(claims));
  // The library has no word for it that is public.
  (mqtt as unknown as { _sendPacket(packet: object): void })._sendPacket({
    cmd: 'auth',
    reasonCode: 0x19,
    properties: { authenticationMethod: 'jwt', authenticationData },
  });
  expect((await answered).reasonCode).toBe(0);
  await once(events(witness.mqtt), 'close');
  await mqtt.publishAsync('npm/again', 'on', { qos: 1 });
  expect((await client.next()).payload.toString()).toBe('on');
});

describeWith(mosquittoClients, 'mosquitto_pub and mosquitto_sub', () => {
  const place = () => ['-h', new URL(server.mqtt!).hostname, '-p', new URL(server.mqtt!).port];

  it.each(['mqttv311', 'mqttv5'])('%s: with a token, with none, and beyond their rights', async (version) => {
    const base = `mosquitto/${version}`;
    const claims = { sub: 'ann', subscribe: [`${base}/**`], publish: [`${base}/open`] };
    const shown = await token(claims);
    const common = [...place(), '-V', version, '-q', '1'];
    const subscriber = runProgram('stdbuf', [
      ...['-oL', 'mosquitto_sub', ...common, '-d', '-u', 'ann', '-P', shown],
      ...['-t', `${base}/+`, '-C', '1'],
    ]);
    await subscriber.line((line) => line.startsWith('Subscribed'));
    const publish = (password: string, name: string) =>
      runProgram('mosquitto_pub', [
        ...[...common, '-u', 'ann', '-P', password],
        ...['-t', `${base}/${name}`, '-m', name],
      ]).done;
    await expect(publish('none', 'open')).rejects.toThrow(/not authorised|bad user name or password/i);
    await publish(shown, 'other').catch(() => undefined);
    await publish(shown, 'open');
    expect(await subscriber.done).toContain('open');
    const page = await fetch(`${server.url}/channels/${base}/other`, {
      headers: { Authorization: `Bearer ${await token(writer)}` },
    });
    expect(((await page.json()) as { readonly messages: unknown[] }).messages).toEqual([]);
  });
});

describeWith(pahoForPython, 'Paho for Python', () => {
  const program = fileURLToPath(new URL('./program/paho-auth.py', import.meta.url));

  it.each([
    ['4', { bad: 4, good: 0, granted: [1, 0x80] }],
    ['5', { bad: 0x86, good: 0, granted: [1, 0x87] }],
  ])('version %s: with a token, with none, and beyond its rights', async (version, expected) => {
    const { hostname, port } = new URL(server.mqtt!);
    const topic = `paho/auth/${version}`;
    const shown = await token({ sub: 'ann', subscribe: [topic] });
    const [line] = await runProgram(debianPython, [program, hostname, port, version, topic], shown).done;
    expect(JSON.parse(line!)).toEqual(expected);
  });
});
