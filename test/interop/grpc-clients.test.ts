import {
  createFileRegistry,
  fromBinary,
  fromJson,
  toBinary,
  type JsonValue,
  create,
} from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Messaging,
  type SubscribeResponse,
} from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { ErrorInfoSchema } from '@everywire/wires/grpc/generated/google/rpc/error_details_pb.js';
import * as v1 from '@everywire/wires/grpc/generated/grpc/reflection/v1/reflection_pb.js';
import * as v1alpha from '@everywire/wires/grpc/generated/grpc/reflection/v1alpha/reflection_pb.js';
import { startTestServer, type TestServer } from '../support/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({});
});
afterAll(() => server.stop(), 14_000);

const ways: readonly (readonly [name: string, open: () => Transport])[] = [
  ['gRPC', () => createGrpcTransport({ baseUrl: `http://${server.grpc!}` })],
  ['gRPC in JSON', () => createGrpcTransport({ baseUrl: `http://${server.grpc!}`, useBinaryFormat: false })],
  ['gRPC-Web', () => createGrpcWebTransport({ baseUrl: server.url, httpVersion: '1.1' })],
  [
    'gRPC-Web in JSON',
    () => createGrpcWebTransport({ baseUrl: server.url, httpVersion: '1.1', useBinaryFormat: false }),
  ],
  [
    'Connect',
    () => createConnectTransport({ baseUrl: server.url, httpVersion: '1.1', useBinaryFormat: true }),
  ],
  ['Connect in JSON', () => createConnectTransport({ baseUrl: server.url, httpVersion: '1.1' })],
];

describe.each(ways)('connect-node over %s', (name, open) => {
  const channel = `clients/${name.replaceAll(' ', '-')}`;

  it('publishes, reads and follows', async () => {
    const client = createClient(Messaging, open());
    const stop = new AbortController();
    const data = Buffer.from('hello');
    const first = await client.publish({ channel, data, headers: { a: 'é' }, key: 'k' });
    expect(first).toMatchObject({ channel, offset: 1n, duplicate: false });
    expect(await client.publish({ channel, data, headers: { a: 'é' }, key: 'k' })).toMatchObject({
      offset: 1n,
      cursor: first.cursor,
      duplicate: true,
    });
    const page = await client.read({ channel, since: 'earliest' });
    expect(page).toMatchObject({ cursor: first.cursor, gaps: [] });
    expect(page.messages[0]).toMatchObject({ offset: 1n, headers: { a: 'é' } });
    const responses = client.subscribe({ channels: [channel], since: 'earliest' }, { signal: stop.signal });
    const kinds: SubscribeResponse['kind'][] = [];
    for await (const { kind } of responses) {
      kinds.push(kind);
      if (kind.case !== 'message') continue;
      if (kind.value.offset === 1n) await client.publish({ channel, data: Buffer.from('live') });
      else stop.abort();
      if (stop.signal.aborted) break;
    }
    expect(kinds.map((kind) => kind.case)).toEqual(['subscribed', 'message', 'message']);
    expect(Buffer.from((kinds[2]!.value as { data: Uint8Array }).data).toString()).toBe('live');
  });

  it('gets an error that names its mistake', async () => {
    const client = createClient(Messaging, open());
    const refused = await client
      .publish({ channel: '$no' })
      .catch((caught: unknown) => ConnectError.from(caught));
    expect(refused).toMatchObject({ code: Code.InvalidArgument });
    expect((refused as ConnectError).findDetails(ErrorInfoSchema)).toMatchObject([{ reason: 'BAD_NAME' }]);
    const late = await client.publish({ channel, data: Buffer.from('late') }, { timeoutMs: 0 }).then(
      () => undefined,
      (caught: unknown) => ConnectError.from(caught).code,
    );
    expect([Code.DeadlineExceeded, undefined]).toContain(late);
  });
});

describe('a deadline that has passed, over Connect', () => {
  it('keeps a publish from being stored', async () => {
    const answer = await fetch(`${server.url}/everywire.v1.Messaging/Publish`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Connect-Timeout-Ms': '0' },
      body: JSON.stringify({ channel: 'late', data: 'eA==' }),
    });
    expect(answer.status).toBe(504);
    expect(await answer.json()).toMatchObject({ code: 'deadline_exceeded' });
    const page = await (await fetch(`${server.url}/channels/late`)).json();
    expect(page).toMatchObject({ messages: [] });
  });
});

describe('connect-node over gRPC', () => {
  it('streams both ways', async () => {
    const client = createClient(Messaging, createGrpcTransport({ baseUrl: `http://${server.grpc!}` }));
    async function* requests() {
      yield { id: 1n, command: { case: 'subscribe' as const, value: { channel: 'both' } } };
      yield {
        id: 2n,
        command: { case: 'publish' as const, value: { channel: 'both', data: Buffer.from('x') } },
      };
      await new Promise(() => undefined);
    }
    const seen = new Set<string>();
    for await (const { id, kind } of client.stream(requests())) {
      seen.add(`${id} ${kind.case}`);
      if (seen.size === 3) break;
    }
    expect(seen).toEqual(new Set(['1 subscribed', '2 published', '1 message']));
  });
});

/** What grpcurl does: all it knows of the service is what the server tells it. */
describe.each([
  ['v1', v1.ServerReflection],
  ['v1alpha', v1alpha.ServerReflection],
] as const)('by reflection %s', (_name, service) => {
  type Question = NonNullable<Parameters<typeof ask>[0]>;
  async function ask(messageRequest: {
    case: 'listServices' | 'fileContainingSymbol' | 'fileByFilename';
    value: string;
  }) {
    const client = createClient(
      service as typeof v1.ServerReflection,
      createGrpcTransport({ baseUrl: `http://${server.grpc!}` }),
    );
    async function* requests() {
      yield { host: 'test', messageRequest };
    }
    for await (const { messageResponse } of client.serverReflectionInfo(requests())) return messageResponse;
    throw new Error('no answer');
  }
  const question = (one: Question): Question => one;

  it('finds the services, describes one, and calls it', async () => {
    const list = await ask(question({ case: 'listServices', value: '' }));
    if (list.case !== 'listServicesResponse') throw new Error(list.case);
    expect(list.value.service.map(({ name }) => name).sort()).toEqual([
      'everywire.v1.Messaging',
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
    ]);
    const found = await ask(
      question({ case: 'fileContainingSymbol', value: 'everywire.v1.Messaging.Publish' }),
    );
    if (found.case !== 'fileDescriptorResponse') throw new Error(found.case);
    const file = found.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: file.reverse() }));
    const method = registry.getService('everywire.v1.Messaging')!.method['publish']!;
    const request: JsonValue = { channel: 'reflected', data: 'aGVsbG8=' };
    // The message that was described and the one that was generated are the same bytes.
    const bytes = toBinary(method.input, fromJson(method.input, request));
    const client = createClient(Messaging, createGrpcTransport({ baseUrl: `http://${server.grpc!}` }));
    expect(await client.publish(fromBinary(Messaging.method.publish.input, bytes))).toMatchObject({
      channel: 'reflected',
    });
  });

  it('reports an unknown method', async () => {
    for (const one of [
      question({ case: 'fileContainingSymbol', value: 'no.such.Thing' }),
      question({ case: 'fileByFilename', value: '../../etc/passwd' }),
    ])
      expect(await ask(one)).toMatchObject({ case: 'errorResponse', value: { errorCode: Code.NotFound } });
  });
});
