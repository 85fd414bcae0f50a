import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { Code, createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Messaging } from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { startTestServer, type TestServer } from '../support/server.ts';

const callsMax = 3;

describe('a gRPC connection with as many calls as it may have', () => {
  let server: TestServer;
  let address: string;
  beforeAll(async () => {
    server = await startTestServer({ limits: { grpcStreamsMax: callsMax } });
    address = `http://${server.grpc!}`;
  });
  afterAll(() => server.stop(), 14_000);

  it('has the next call wait in the client, for its deadline at most, until one of them ends', async () => {
    const sessionManager = new Http2SessionManager(address);
    const client = createClient(Messaging, createGrpcTransport({ baseUrl: address, sessionManager }));
    const stops = Array.from({ length: callsMax }, () => new AbortController());
    for (const { signal } of stops) {
      const [first] = [client.subscribe({ channels: ['a'] }, { signal })[Symbol.asyncIterator]()];
      expect((await first.next()).value).toMatchObject({ kind: { case: 'subscribed' } });
    }
    const data = Buffer.from('x');
    await expect(client.publish({ channel: 'a', data }, { timeoutMs: 200 })).rejects.toMatchObject({
      code: Code.DeadlineExceeded,
    });
    // Another connection has calls for itself.
    const other = createClient(Messaging, createGrpcTransport({ baseUrl: address }));
    expect(await other.publish({ channel: 'a', data })).toMatchObject({ offset: 1n });
    stops[0]!.abort();
    // By the time that this is answered, the server has seen the end of the call.
    await other.read({ channel: 'a' });
    expect(await client.publish({ channel: 'a', data })).toMatchObject({ offset: 2n });
    for (const stop of stops) stop.abort();
    sessionManager.abort();
  });

  it('has the next call refused as not started, where a client does not wait', async () => {
    const session: ClientHttp2Session = connect(address, { peerMaxConcurrentStreams: 100 });
    const open = (): ClientHttp2Stream => {
      const stream = session.request({
        ':method': 'POST',
        ':path': '/everywire.v1.Messaging/Stream',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      stream.on('error', () => undefined);
      return stream;
    };
    // Before the settings of the server have come, nothing in the client holds it back.
    const streams = Array.from({ length: callsMax + 1 }, open);
    const refused = streams.at(-1)!;
    await new Promise((resolve) => refused.once('close', resolve));
    expect(refused.rstCode).toBe(constants.NGHTTP2_REFUSED_STREAM);
    expect(streams.slice(0, callsMax).some((stream) => stream.closed)).toBe(false);
    session.destroy();
  });
});
