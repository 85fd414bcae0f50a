import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { mosquittoBroker } from '../../../scripts/tools.ts';
import { RawClient } from '../../clients/mqtt/raw-client.ts';
import { endPrograms, runProgram, type Program } from '../../support/program.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { describeWith } from '../tool-suite.ts';

/** Mosquitto with a bridge to this server, whose section says no more than it must. */

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describeWith(mosquittoBroker, 'a bridge of Mosquitto', () => {
  let server: TestServer;
  let folder: string;
  beforeAll(async () => {
    server = await startTestServer({ store: 'memory:' });
    folder = await mkdtemp(join(tmpdir(), 'everywire-bridge-'));
  });
  afterEach(() => endPrograms());
  afterAll(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });

  async function bridge(
    more: readonly string[],
  ): Promise<{ readonly url: string; readonly program: Program }> {
    const port = await freePort();
    const path = join(folder, `${port}.conf`);
    const { host } = new URL(server.mqtt!);
    const lines = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous true',
      'log_dest stdout',
      'log_type all',
      'connection one',
      `address ${host}`,
      'topic # both 1',
      ...more,
    ];
    await writeFile(path, `${lines.join('\n')}\n`);
    // Into a pipe it would write only when its buffer is full.
    const program = runProgram('stdbuf', ['-oL', 'mosquitto', '-c', path]);
    await program.line((line) => /Received SUBACK/.test(line));
    return { url: `mqtt://127.0.0.1:${port}`, program };
  }

  it.each(['mqttv31', 'mqttv311', 'mqttv50'])('connects and stays, by %s', async (version) => {
    const { url, program } = await bridge([`bridge_protocol_version ${version}`]);
    const there = (await RawClient.connected(url, { version: 4 })).client;
    const here = (await RawClient.connected(server.mqtt!, { version: 4 })).client;
    for (const client of [there, here]) await client.subscribe(`${version}/#`, { qos: 1 });
    await here.deliver(`${version}/a`, 'from here');
    expect((await there.take()).payload.toString()).toBe('from here');
    expect((await here.take()).payload.toString()).toBe('from here');
    await there.deliver(`${version}/b`, 'from there', { retain: true });
    for (const client of [there, here]) expect((await client.take()).payload.toString()).toBe('from there');
    // No message comes back to the broker that it came from.
    for (let at = 0; at < 20; at += 1) await here.deliver(`${version}/c`, String(at));
    expect(await there.texts(20)).toEqual(Array.from({ length: 20 }, (_, at) => String(at)));
    for (const client of [there, here]) {
      await client.settled();
      expect(client.packets.filter(({ type }) => type === 'publish').length).toBeLessThanOrEqual(20);
    }
    const texts = program.lines.join('\n');
    expect(texts).not.toMatch(/Socket error|Connection Refused|closed its connection: one/i);
    // Its messages about itself reach no reader.
    const page = (await (await fetch(`${server.url}/channels/**?limit=100`)).json()) as {
      readonly messages: readonly { readonly channel: string }[];
    };
    expect(page.messages.filter(({ channel }) => channel.startsWith('$'))).toEqual([]);
    for (const client of [there, here]) client.disconnect();
  });
});
