import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import type { Envelope } from '@everywire/protocol';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../../test/support/server.ts';
import { Link } from '../src/link.ts';
import { checkOptions, type Problem } from '../src/options.ts';
import type { Publication } from '../src/packets.ts';
import { PublishRefused } from '../src/pending-publishes.ts';

const patience = { timeout: 10_000, interval: 10 };

/** A network between the link and the server, which can lose what the server says, and break. */
class Network {
  readonly #server = net.createServer((near) => this.#join(near));
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #target: number;
  isDeaf = false;

  constructor(target: number) {
    this.#target = target;
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #join(near: Socket): void {
    const far = net.connect(this.#target, '127.0.0.1');
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    near.pipe(far);
    far.on('data', (bytes) => {
      if (!this.isDeaf) near.write(bytes);
    });
    for (const socket of pair) {
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#pairs.delete(pair);
        for (const other of pair) other.destroy();
      });
    }
  }
}

function text(payload: string): Publication {
  return { payload: JSON.stringify(payload), event: undefined, meta: undefined };
}

describe('the link', () => {
  let server: TestServer;
  let network: Network;
  let links: Link[];
  let heard: unknown[];
  let problems: Problem[];
  let readies: number;
  let prefix: string;
  let prefixes = 0;

  beforeAll(async () => {
    server = await startTestServer({
      store: 'memory:',
      namespaces: { 'short/**': { retention: { count: 2 } } },
    });
  });
  afterAll(() => server.stop());
  beforeEach(() => {
    [links, heard, problems, readies] = [[], [], [], 0];
    prefix = `link-${(prefixes += 1)}`;
    network = new Network(Number(new URL(server.url).port));
  });
  afterEach(async () => {
    for (const link of links) await link.close();
    network.close();
  });

  async function open(filter = `${prefix}/**`): Promise<Link> {
    const port = await network.listen();
    const onProblem = (problem: Problem): void => void problems.push(problem);
    const link = new Link(checkOptions({ url: `http://127.0.0.1:${port}`, onProblem }), filter, {
      message: ({ data }) => heard.push(data),
      ready: () => (readies += 1),
    });
    links.push(link);
    link.open();
    await expect.poll(() => readies, patience).toBe(1);
    return link;
  }
  async function stored(channel: string): Promise<readonly unknown[]> {
    const page = await fetch(`${server.url}/channels/${channel}?since=earliest`);
    return ((await page.json()) as { messages: readonly Envelope[] }).messages.map(({ data }) => data);
  }

  it('repeats publishes that were stored and not answered, and they are stored once', async () => {
    const link = await open();
    const channel = `${prefix}/a`;
    network.isDeaf = true;
    const published = [link.publish(channel, text('one')), link.publish(channel, text('two'))];
    await expect.poll(() => stored(channel), patience).toEqual(['one', 'two']);
    network.cut();
    network.isDeaf = false;
    await Promise.all(published);
    expect(await stored(channel)).toEqual(['one', 'two']);
    await expect.poll(() => heard, patience).toEqual(['one', 'two']);
    expect(problems.map(({ kind }) => kind)).toEqual(['unavailable']);
  });

  it('resumes after the last message, and gets the messages of the meantime', async () => {
    const link = await open();
    await link.publish(`${prefix}/a`, text('before'));
    await expect.poll(() => heard, patience).toEqual(['before']);
    network.isDeaf = true;
    await fetch(`${server.url}/channels/${prefix}/b`, { method: 'POST', body: 'meanwhile' });
    network.cut();
    network.isDeaf = false;
    await expect.poll(() => heard, patience).toEqual(['before', 'meanwhile']);
  });

  it('tells of a gap', async () => {
    const link = await open('short/**');
    await link.publish('short/a', text('0'));
    await expect.poll(() => heard, patience).toEqual(['0']);
    network.isDeaf = true;
    for (const body of ['1', '2', '3', '4'])
      await fetch(`${server.url}/channels/short/a`, { method: 'POST', body });
    network.cut();
    network.isDeaf = false;
    await expect.poll(() => heard, patience).toEqual(['0', '3', '4']);
    expect(problems.map(({ kind }) => kind)).toEqual(['unavailable', 'gap']);
  });

  it('rejects the publishes that the server refuses, and no others', async () => {
    const link = await open();
    const good = link.publish(`${prefix}/a`, text('good'));
    await expect(link.publish(`${prefix}/+`, text('bad name'))).rejects.toThrow(PublishRefused);
    await expect(link.publish(`${prefix}/a`, { ...text('x'), event: 'a\nb' })).rejects.toThrow('invalid');
    await good;
    expect(await stored(`${prefix}/a`)).toEqual(['good']);
  });

  it('forgets what cannot wait while the server is not there', async () => {
    const link = await open();
    await link.publishIfReady(`${prefix}/a`, text('now'));
    network.close();
    await expect.poll(() => problems.length, patience).toBe(1);
    await link.publishIfReady(`${prefix}/a`, text('never'));
    expect(await stored(`${prefix}/a`)).toEqual(['now']);
  });

  it('refuses when it is closed', async () => {
    const link = await open();
    await link.close();
    await expect(link.publish(`${prefix}/a`, text('late'))).rejects.toThrow('closed');
  });
});
