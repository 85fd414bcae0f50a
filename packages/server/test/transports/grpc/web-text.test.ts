import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../../../../test/support/server.ts';

/** A gRPC-Web message: the channel "a" and the data "x". */
const message = Buffer.from([0, 0, 0, 0, 6, 0x0a, 1, 97, 0x12, 1, 120]);
const fields = { 'Content-Type': 'application/grpc-web-text', 'X-Grpc-Web': '1' };

describe('gRPC-Web in text', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({});
  });
  afterAll(() => server.stop());

  const call = async (
    body: string,
    type = 'application/grpc-web-text',
  ): Promise<{ type: string | null; bytes: string }> => {
    const response = await fetch(`${server.url}/everywire.v1.Messaging/Publish`, {
      method: 'POST',
      headers: { ...fields, 'Content-Type': type },
      body,
    });
    // Each part is encoded by itself.
    const parts = (await response.text()).match(/[^=]+={0,2}/g) ?? [];
    const bytes = Buffer.concat(parts.map((part) => Buffer.from(part, 'base64')));
    const status = response.headers.get('grpc-status');
    return {
      type: response.headers.get('content-type'),
      bytes: `${bytes.toString('latin1')}${status === null ? '' : `grpc-status: ${status}`}`,
    };
  };

  it.each(['application/grpc-web-text', 'application/grpc-web-text+proto', 'Application/gRPC-Web-Text'])(
    'answers %s in the same',
    async (type) => {
      const answer = await call(message.toString('base64'), type);
      expect(answer.type).toMatch(/^application\/grpc-web-text(\+proto)?$/);
      expect(answer.bytes).toMatch(/grpc-status: ?0/);
    },
  );

  it('takes a body whose parts were encoded by themselves', async () => {
    for (const cut of [1, 2, 3, 4, 5, 7, 10]) {
      const body = [message.subarray(0, cut), message.subarray(cut)]
        .map((part) => part.toString('base64'))
        .join('');
      expect((await call(body)).bytes).toMatch(/grpc-status: ?0/);
    }
  });

  it.each(['AAAA=', 'A', '****', 'AAAA\n', '====', 'AA=A', message.toString('base64').slice(0, -1)])(
    'refuses %j, which is no base64',
    async (body) => {
      expect((await call(body)).bytes).toMatch(/grpc-status: ?3/);
    },
  );

  it('refuses a broken message in the same', async () => {
    const { type, bytes } = await call(message.subarray(0, 8).toString('base64'));
    expect(type).toMatch(/^application\/grpc-web-text/);
    expect(bytes).toMatch(/grpc-status: ?(3|13)/);
  });
});
