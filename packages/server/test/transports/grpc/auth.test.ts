import { Code, ConnectError, createClient, type Interceptor, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ErrorInfoSchema } from '@everywire/wires/grpc/generated/google/rpc/error_details_pb.js';
import { Messaging } from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { ServerReflection } from '@everywire/wires/grpc/generated/grpc/reflection/v1/reflection_pb.js';
import { Health } from '@everywire/wires/grpc/generated/grpc/health/v1/health_pb.js';
import { AuthServer, inSeconds, reachesWithinMs, tokenOf } from '../auth-server.ts';
import {
  ask,
  healthClient,
  Listening,
  messagingClient,
  StreamClient,
  type MessagingClient,
  type StreamResponse,
} from '../../../../../test/clients/grpc/client.ts';

let server: AuthServer;
let client: MessagingClient;
beforeAll(async () => {
  server = await AuthServer.start();
});
afterAll(() => server.stop());
beforeEach(() => {
  client = messagingClient(server.server.grpc!);
});
afterEach(() => client.close());

function metadata(token: string | undefined): Metadata {
  const shown = new Metadata();
  if (token !== undefined) shown.set('authorization', `Bearer ${token}`);
  return shown;
}

function call(
  method: 'publish' | 'read',
  request: object,
  token: string | undefined,
): Promise<ServiceError | Record<string, unknown>> {
  return new Promise((resolve) => {
    client[method](request, metadata(token), {}, (error, answer) => resolve(error ?? answer));
  });
}

function subscribe(channels: readonly string[], token: string | undefined, more: object = {}) {
  return new Listening<StreamResponse>(client.subscribe({ channels, ...more }, metadata(token)));
}

function stream(token: string | undefined): StreamClient {
  return new StreamClient(client, metadata(token));
}

function payloads(listening: Listening<StreamResponse>): string[] {
  return listening.responses
    .filter(({ kind }) => kind === 'message')
    .map(({ message }) => JSON.parse(message!.data.toString()) as string);
}

/** The `reason` of the ErrorInfo, as any library for the richer error model finds it. */
function hasReason(error: ServiceError | undefined, reason: string): boolean {
  const [details] = error?.metadata.get('grpc-status-details-bin') ?? [];
  return Buffer.isBuffer(details) && details.includes(reason);
}

const shownInVain: [string, () => Promise<string | undefined>][] = [
  ['nothing', async () => undefined],
  ['an invalid token', async () => 'abc'],
  ['a token that has ended', () => tokenOf('ann', { exp: inSeconds(-1) })],
];

describe('gRPC', () => {
  test.each(shownInVain)('refuses every method to a caller with %s', async (_, shown) => {
    const token = await shown();
    const ends = [
      (await call('publish', { channel: 'a' }, token)) as ServiceError,
      (await call('read', { channel: 'a' }, token)) as ServiceError,
      await subscribe(['a'], token).ended(),
      await stream(token).ended(),
    ];
    for (const error of ends) {
      expect(error?.code).toBe(status.UNAUTHENTICATED);
      expect(hasReason(error, 'UNAUTHORIZED')).toBe(true);
    }
  });

  test('allows the rights of the token, also within a wildcard, live and from the log', async () => {
    const token = await tokenOf('ann', { subscribe: ['x/**', '!x/secret/**'], publish: ['x/{sub}'] });
    for (const channel of ['x/open', 'x/secret/a']) await server.publish(channel, channel);
    for (const error of [
      await call('publish', { channel: 'x/open' }, token),
      await call('read', { channel: 'x/secret/a' }, token),
      await subscribe(['x/secret/*'], token).ended(),
      await subscribe(['x/open', 'x/secret/a'], token).ended(),
    ]) {
      expect((error as ServiceError).code).toBe(status.PERMISSION_DENIED);
      expect(hasReason(error as ServiceError, 'FORBIDDEN')).toBe(true);
    }
    expect(
      await call(
        'publish',
        { channel: 'x/ann', type: 'application/json', data: Buffer.from('"mine"') },
        token,
      ),
    ).toMatchObject({ channel: 'x/ann' });
    const { messages } = (await call('read', { channel: 'x/**', since: 'earliest' }, token)) as {
      messages: { readonly channel: string; readonly from?: string }[];
    };
    expect(messages.map(({ channel }) => channel)).toEqual(['x/open', 'x/ann']);
    expect(messages[1]!.from).toBe('ann');
    const following = subscribe(['x/**'], token, { since: 'earliest' });
    const streaming = stream(token);
    const id = streaming.send({ subscribe: { channel: 'x/**', since: 'earliest' } });
    expect(await streaming.ask({ subscribe: { channel: 'x/secret/a' } })).toMatchObject({
      refused: { code: 'forbidden' },
    });
    expect(await streaming.ask({ publish: { channel: 'x/open' } })).toMatchObject({
      refused: { code: 'forbidden' },
    });
    for (const channel of ['x/secret/b', 'x/last']) await server.publish(channel, channel);
    await following.until(() => payloads(following).includes('x/last'));
    expect(payloads(following)).toEqual(['x/open', 'mine', 'x/last']);
    await streaming.until(() => streaming.payloads(id).length === 3);
    expect(streaming.payloads(id).map((text) => JSON.parse(text) as string)).toEqual([
      'x/open',
      'mine',
      'x/last',
    ]);
    following.cancel();
    streaming.cancel();
  });

  test('ends streams with their token', async () => {
    const token = await tokenOf('ann', { exp: inSeconds(1.5) });
    const ends = [subscribe(['a'], token), subscribe(['a', 'b/**'], token), stream(token)];
    await (ends[2] as StreamClient).ask({ subscribe: { channel: 'a' } });
    for (const one of ends) {
      const error = await one.ended();
      expect(error?.code).toBe(status.UNAUTHENTICATED);
      expect(hasReason(error, 'UNAUTHORIZED')).toBe(true);
    }
  });

  test('continues with the token of an auth request, but only one of the same subject', async () => {
    const streaming = stream(await tokenOf('ann', { exp: inSeconds(1.5) }));
    const short = stream(await tokenOf('bob', { exp: inSeconds(1.5) }));
    const id = streaming.send({ subscribe: { channel: 'refreshed' } });
    expect(await streaming.ask({ auth: await tokenOf('bob') })).toMatchObject({
      refused: { code: 'forbidden' },
    });
    expect(await streaming.ask({ auth: 'abc' })).toMatchObject({ refused: { code: 'unauthorized' } });
    expect(await streaming.ask({ auth: await tokenOf('ann', { exp: inSeconds(60) }) })).toMatchObject({
      kind: 'done',
    });
    expect((await short.ended())?.code).toBe(status.UNAUTHENTICATED);
    await server.publish('refreshed', 'on');
    await streaming.until(() => streaming.payloads(id).length === 1);
    streaming.cancel();
  });

  test('ends the subscriptions that a new token does not allow, and no others', async () => {
    const streaming = stream(await tokenOf('ann'));
    const [lost, kept] = [
      streaming.send({ subscribe: { channel: 'narrow/a' } }),
      streaming.send({ subscribe: { channel: 'narrow/b' } }),
    ];
    await streaming.until(() => streaming.responses.length === 2);
    await streaming.ask({ auth: await tokenOf('ann', { subscribe: ['narrow/b'] }) });
    const told = await streaming.first(({ kind }) => kind === 'refused');
    expect(told).toMatchObject({ id: lost, refused: { code: 'forbidden' } });
    for (const channel of ['narrow/a', 'narrow/b']) await server.publish(channel, channel);
    await streaming.until(() => streaming.payloads(kept).length === 1);
    expect(streaming.payloads(lost)).toEqual([]);
    streaming.cancel();
  });

  test('ends at once for a subject that is revoked, and for no other', async () => {
    const [token, other] = [await tokenOf('cid'), await tokenOf('dan')];
    const ends = [subscribe(['r'], token), subscribe(['r', 's'], token), stream(token)];
    const witness = subscribe(['r'], other);
    for (const one of [...ends.slice(0, 2), witness]) await one.first(({ kind }) => kind === 'subscribed');
    await (ends[2] as StreamClient).ask({ subscribe: { channel: 'r' } });
    const revokedAtMs = performance.now();
    await server.revoke({ sub: 'cid' });
    for (const one of ends) expect((await one.ended())?.code).toBe(status.UNAUTHENTICATED);
    expect(performance.now() - revokedAtMs).toBeLessThan(reachesWithinMs);
    await server.publish('r', 'later');
    await witness.until(() => payloads(witness).length === 1);
    expect(ends.flatMap((one) => payloads(one))).toEqual([]);
    expect(((await call('read', { channel: 'r' }, token)) as ServiceError).code).toBe(status.UNAUTHENTICATED);
    witness.cancel();
  });

  test('tells its health to everybody', async () => {
    const health = healthClient(server.server.grpc!);
    expect(await ask(health, 'check', {})).toEqual({ status: 'SERVING' });
    health.close();
  });
});

function showing(token: string | undefined): Interceptor[] {
  const show: Interceptor = (next) => (request) => {
    if (token !== undefined) request.header.set('authorization', `Bearer ${token}`);
    return next(request);
  };
  return [show];
}

const libraries: [string, (token: string | undefined) => Transport][] = [
  [
    'Connect',
    (token) =>
      createConnectTransport({ baseUrl: server.url, httpVersion: '1.1', interceptors: showing(token) }),
  ],
  [
    'gRPC-Web',
    (token) =>
      createGrpcWebTransport({ baseUrl: server.url, httpVersion: '1.1', interceptors: showing(token) }),
  ],
  [
    'gRPC in JSON',
    (token) =>
      createGrpcTransport({
        baseUrl: `http://${server.server.grpc!}`,
        useBinaryFormat: false,
        interceptors: showing(token),
      }),
  ],
];

async function refusalOf(call: Promise<unknown>): Promise<ConnectError> {
  return ConnectError.from(
    await call.then(
      () => new Error('it was allowed'),
      (error: unknown) => error,
    ),
  );
}

async function drain(responses: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const response of responses) if (response !== undefined) count += 1;
  return count;
}

describe.each(libraries)('%s', (_name, transportFor) => {
  const messaging = (token: string | undefined) => createClient(Messaging, transportFor(token));

  test.each(shownInVain)('refuses every method to a caller with %s', async (_, shown) => {
    const token = await shown();
    for (const refused of [
      await refusalOf(messaging(token).publish({ channel: 'a' })),
      await refusalOf(messaging(token).read({ channel: 'a' })),
      await refusalOf(drain(messaging(token).subscribe({ channels: ['a'] }))),
    ]) {
      expect(refused.code).toBe(Code.Unauthenticated);
      expect(refused.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: 'UNAUTHORIZED' }]);
    }
  });

  test('allows what the token does', async () => {
    const allowed = messaging(await tokenOf('ann', { subscribe: ['w/a'], publish: ['w/a'] }));
    expect((await refusalOf(allowed.publish({ channel: 'w/b' }))).code).toBe(Code.PermissionDenied);
    expect((await refusalOf(allowed.read({ channel: 'w/*' }))).code).toBe(Code.PermissionDenied);
    expect((await refusalOf(drain(allowed.subscribe({ channels: ['w/a', 'w/b'] })))).code).toBe(
      Code.PermissionDenied,
    );
    expect((await allowed.publish({ channel: 'w/a' })).channel).toBe('w/a');
    expect((await allowed.read({ channel: 'w/a' })).messages.at(-1)?.from).toBe('ann');
  });

  test('ends a subscription with its token', async () => {
    const short = messaging(await tokenOf('ann', { exp: inSeconds(1.5) }));
    const ended = await refusalOf(drain(short.subscribe({ channels: ['a'] })));
    expect(ended.code).toBe(Code.Unauthenticated);
    expect(ended.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: 'UNAUTHORIZED' }]);
  });
});

describe('the rest', () => {
  test('reflection is for admitted callers, and health for everybody', async () => {
    const transport = (token: string | undefined) =>
      createGrpcTransport({ baseUrl: `http://${server.server.grpc!}`, interceptors: showing(token) });
    const list = async (token: string | undefined) => {
      const answers: number[] = [];
      async function* requests() {
        yield { messageRequest: { case: 'listServices' as const, value: '' } };
      }
      for await (const { messageResponse } of createClient(
        ServerReflection,
        transport(token),
      ).serverReflectionInfo(requests())) {
        if (messageResponse.case === 'listServicesResponse')
          answers.push(messageResponse.value.service.length);
      }
      return answers;
    };
    expect((await refusalOf(list(undefined))).code).toBe(Code.Unauthenticated);
    expect(await list(await tokenOf('ann', { subscribe: [], publish: [] }))).toEqual([4]);
    expect((await createClient(Health, transport(undefined)).check({})).status).toBe(1);
  });

  test('over HTTP it is 401 with the scheme, and a long body of an unknown caller is not read', async () => {
    const post = (body: string, headers: Record<string, string> = {}) =>
      fetch(`${server.url}/everywire.v1.Messaging/Publish`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
      });
    const unknown = await post('{"channel":"a"}');
    expect([unknown.status, unknown.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    expect(await unknown.json()).toMatchObject({ code: 'unauthenticated' });
    const wrong = await post('{"channel":"a"}', { authorization: 'Bearer abc' });
    expect(wrong.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"');
    const long = await post(JSON.stringify({ channel: 'a', data: 'A'.repeat(60_000) }));
    expect(long.status).toBe(401);
    expect(long.headers.get('connection')).toBe('close');
  });

  test('a ticket in the address is good once', async () => {
    const { ticket } = (await (await server.ask('POST', '/tickets')).json()) as { readonly ticket: string };
    const read = () =>
      fetch(`${server.url}/everywire.v1.Messaging/Read?ticket=${ticket}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"channel":"a"}',
      });
    expect((await read()).status).toBe(200);
    expect((await read()).status).toBe(401);
  });
});
