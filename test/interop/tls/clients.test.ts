/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- stompjs declares plain headers as classes */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import {
  credentials,
  loadPackageDefinition,
  type ClientReadableStream,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { createClient, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { Client as StompClient } from '@stomp/stompjs';
import type { Envelope } from '@everywire/protocol';
import { EventSource } from 'eventsource';
import { connectAsync } from 'mqtt';
import { io } from 'socket.io-client';
import { Agent, fetch, request } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Messaging } from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { curl, debianPython, mosquittoClients, stompForPython } from '../../../scripts/tools.ts';
import { Inbox } from '../../drivers/inbox.ts';
import { endPrograms, runProgram } from '../../support/program.ts';
import { describeWith } from '../tool-suite.ts';
import { TestAuthority } from './certificates.ts';
import { portOf, startSecureServer, type SecureServer } from './server.ts';

let authority: TestAuthority;
let server: SecureServer;
let ca: string;
let agent: Agent;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  authority = new TestAuthority();
  ca = readFileSync(authority.ca, 'utf8');
  agent = new Agent({ connect: { ca } });
  server = await startSecureServer(authority.issueForLoopback());
});
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});
afterAll(async () => {
  endPrograms();
  await agent.close();
  await server.stop();
  authority.dispose();
});

/** Publishes over HTTPS, which every other way is then expected to bring. */
async function publish(channel: string, text: string): Promise<void> {
  const { statusCode, body } = await request(`${server.url}/channels/${channel}`, {
    method: 'POST',
    headers: { 'Content-Type': 'text/plain' },
    body: text,
    dispatcher: agent,
  });
  await body.dump();
  expect(statusCode).toBe(201);
}

describeWith(curl, 'curl', () => {
  it.each([
    ['--http1.1', '1.1'],
    ['--http2', '2'],
  ])('%s publishes, polls, waits and follows', async (option, version) => {
    const run = (...args: readonly string[]) =>
      runProgram('curl', ['-sS', option, '--cacert', authority.ca, '-m', '20', ...args]);
    const at = `${server.url}/channels/curl-${version}`;
    const tell = '\n%{http_version} %{http_code}';
    const published = await run('-d', 'hello', '-w', tell, at).done;
    expect(published[1]).toBe(`${version} 201`);
    const [page] = await run(at).done;
    expect(JSON.parse(page!)).toMatchObject({ messages: [{ data: 'hello' }] });
    const { cursor } = JSON.parse(page!) as { readonly cursor: string };
    const waiting = run(`${at}?wait=20s&after=${cursor}`);
    const following = run('-N', '-H', 'Accept: text/event-stream', at);
    const streaming = run('-N', '-H', 'Accept: application/x-ndjson', at);
    await following.line((line) => line.startsWith('retry:'));
    await streaming.line((line) => line === '');
    await run('-d', 'again', at).done;
    expect(JSON.parse((await waiting.done)[0]!)).toMatchObject({ messages: [{ data: 'again' }] });
    // The opening has data too: the position.
    await following.line((line) => line === 'data: again');
    expect(JSON.parse(await streaming.line((line) => line.startsWith('{')))).toMatchObject({ data: 'again' });
    await following.kill();
    await streaming.kill();
  });
});

describe.each([
  ['HTTP/1.1', false],
  ['HTTP/2', true],
])('undici over %s', (_name, allowH2) => {
  const channel = `undici-${String(allowH2)}`;

  it('brings what EventSource follows', async () => {
    const dispatcher = new Agent({ connect: { ca }, allowH2 });
    closers.push(() => dispatcher.destroy());
    const source = new EventSource(`${server.url}/channels/${channel}`, {
      fetch: (url, init) => fetch(url, { ...(init as object), dispatcher }),
    });
    closers.push(() => source.close());
    const inbox = new Inbox<string>();
    source.addEventListener('message', ({ data }) => inbox.push(data as string));
    await new Promise((resolve) => source.addEventListener('open', resolve, { once: true }));
    const answer = await fetch(`${server.url}/channels/${channel}`, {
      method: 'POST',
      body: 'hello',
      dispatcher,
    });
    expect(answer.status).toBe(201);
    expect(await inbox.next()).toBe('hello');
  });
});

it('ws follows a channel', async () => {
  const socket = new WebSocket(`${server.url.replace('https', 'wss')}/channels/ws?format=raw`, { ca });
  closers.push(() => socket.terminate());
  const inbox = new Inbox<string>();
  socket.on('message', (data: Buffer) => inbox.push(data.toString()));
  await once(socket, 'open');
  await publish('ws', 'hello');
  expect(await inbox.next()).toBe('hello');
});

it.each(['mqtts', 'wss'])('npm mqtt over %s', async (scheme) => {
  const url = scheme === 'mqtts' ? server.mqtts : `${server.url.replace('https', 'wss')}/mqtt`;
  const client = await connectAsync(url, { ca, protocolVersion: 5 });
  closers.push(() => client.endAsync(true));
  const inbox = new Inbox<string>();
  client.on('message', (_topic, payload) => inbox.push(payload.toString()));
  await client.subscribeAsync(`mqtt/${scheme}`, { qos: 1 });
  await client.publishAsync(`mqtt/${scheme}`, 'mine', { qos: 1 });
  expect(await inbox.next()).toBe('mine');
  await publish(`mqtt/${scheme}`, 'from HTTPS');
  expect(await inbox.next()).toBe('from HTTPS');
});

describeWith(mosquittoClients, 'mosquitto_sub', () => {
  it('follows over TLS', async () => {
    const place = ['-h', '127.0.0.1', '-p', String(portOf(server.mqtts)), '--cafile', authority.ca];
    const options = [...place, '-d', '-t', 'mosquitto', '-F', '>%p'];
    const program = runProgram('stdbuf', ['-oL', 'mosquitto_sub', ...options]);
    await program.line((line) => line.startsWith('Subscribed'));
    await publish('mosquitto', 'hello');
    expect(await program.line((line) => line.startsWith('>'))).toBe('>hello');
    await program.kill();
  });
});

it('stompjs over wss', async () => {
  const client = new StompClient({
    webSocketFactory: () =>
      new WebSocket(`${server.url.replace('https', 'wss')}/stomp`, ['v12.stomp'], { ca }),
    reconnectDelay: 0,
  });
  closers.push(() => client.deactivate({ force: true }));
  await new Promise((resolve) => {
    client.onConnect = resolve;
    client.activate();
  });
  const inbox = new Inbox<string>();
  await new Promise<void>((resolve) => {
    client.watchForReceipt('subscribed', () => resolve());
    client.subscribe('/stompjs', ({ body }) => inbox.push(body), { receipt: 'subscribed' });
  });
  await publish('stompjs', 'hello');
  expect(await inbox.next()).toBe('hello');
});

describeWith(stompForPython, 'stomp.py', () => {
  it('follows over TLS', async () => {
    const file = new URL('../program/stomp_peer.py', import.meta.url).pathname;
    const child = spawn(debianPython, [file, String(portOf(server.stomps)), '1.2', authority.ca]);
    closers.push(() => child.kill('SIGKILL'));
    const told = new Inbox<{ readonly kind: string; readonly body: string }>();
    let rest = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) told.push(JSON.parse(line) as never);
    });
    child.on('exit', (code) => told.end(new Error(`stomp.py ended with ${code}`)));
    expect((await told.next()).kind).toBe('connected');
    const subscription = { destination: '/stomp-py', id: '1', headers: { receipt: 'subscribed' } };
    child.stdin.write(`${JSON.stringify(['subscribe', subscription])}\n`);
    expect((await told.next()).kind).toBe('receipt');
    await publish('stomp-py', 'hello');
    expect(await told.next()).toMatchObject({ kind: 'message', body: 'hello' });
  });
});

it.each(['polling', 'websocket'])('socket.io-client over %s', async (transport) => {
  const socket = io(server.url, {
    transports: [transport],
    ca,
    reconnection: false,
    forceNew: true,
  } as object);
  closers.push(() => socket.disconnect());
  const inbox = new Inbox<unknown>();
  socket.on('message', (data: unknown) => inbox.push(data));
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('connect_error', reject);
  });
  expect(await socket.emitWithAck('subscribe', `sio/${transport}`)).toMatchObject({ ok: true });
  await publish(`sio/${transport}`, 'hello');
  expect(await inbox.next()).toBe('hello');
});

interface GrpcResponse {
  readonly message?: { readonly data: Buffer };
}

it('grpc-js', async () => {
  const proto = new URL('../../../proto/everywire/v1/messaging.proto', import.meta.url).pathname;
  const root = new URL('../../../proto', import.meta.url).pathname;
  const loaded = loadPackageDefinition(loadSync(proto, { includeDirs: [root] })) as unknown as {
    readonly everywire: { readonly v1: { readonly Messaging: ServiceClientConstructor } };
  };

  const client = new loaded.everywire.v1.Messaging(server.grpc, credentials.createSsl(Buffer.from(ca)));
  closers.push(() => client.close());
  const inbox = new Inbox<string>();
  const subscribe = client['Subscribe'] as (request: object) => ClientReadableStream<GrpcResponse>;
  const call = subscribe.call(client, { channels: ['grpc-js'] });
  closers.push(() => call.cancel());
  call.on('error', () => undefined);
  call.on('data', ({ message }: GrpcResponse) => inbox.push(message?.data.toString() ?? 'subscribed'));
  expect(await inbox.next()).toBe('subscribed');
  await publish('grpc-js', 'hello');
  expect(await inbox.next()).toBe('hello');
});

const nodeOptions = () => ({ ca });
const ways: readonly (readonly [name: string, open: () => Transport])[] = [
  ['gRPC', () => createGrpcTransport({ baseUrl: `https://${server.grpc}`, nodeOptions: nodeOptions() })],
  ...(['1.1', '2'] as const).flatMap((httpVersion) => {
    const options = () =>
      httpVersion === '2'
        ? { baseUrl: server.url, httpVersion, nodeOptions: nodeOptions() }
        : { baseUrl: server.url, httpVersion, nodeOptions: nodeOptions() };
    return [
      [`gRPC-Web over HTTP/${httpVersion}`, () => createGrpcWebTransport(options())] as const,
      [`Connect over HTTP/${httpVersion}`, () => createConnectTransport(options())] as const,
    ];
  }),
];

it.each(ways)('connect-node: %s', async (name, open) => {
  const channel = `connect/${name.replaceAll(/\W/g, '-')}`;
  const client = createClient(Messaging, open());
  const stop = new AbortController();
  closers.push(() => stop.abort());
  expect(await client.publish({ channel, data: Buffer.from('first') })).toMatchObject({ offset: 1n });
  const inbox = new Inbox<string>();
  const following = (async () => {
    const responses = client.subscribe({ channels: [channel], since: 'earliest' }, { signal: stop.signal });
    for await (const { kind } of responses)
      if (kind.case === 'message') inbox.push(Buffer.from(kind.value.data).toString());
  })().catch(() => undefined);
  expect(await inbox.next()).toBe('first');
  await publish(channel, 'second');
  expect(await inbox.next()).toBe('second');
  stop.abort();
  await following;
});

it('an envelope says over TLS what it says without', async () => {
  await publish('plain', 'hello');
  const { body } = await request(`${server.url}/channels/plain`, { dispatcher: agent });
  const { messages } = (await body.json()) as { readonly messages: readonly Envelope[] };
  expect(messages).toMatchObject([{ channel: 'plain', offset: 1, data: 'hello' }]);
});
