import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { drivers } from '../../drivers/index.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { mint, testSecret } from '../../support/tokens.ts';

/** Connections that one subject may have, and strangers that one address may: those that are gone count no more. */
const bound = 6;
const visits = 3 * bound;

describe('connections that have ended are counted no more', () => {
  let server: TestServer;
  beforeAll(async () => {
    const limits = { connectionsPerSubjectMax: bound, unauthenticatedPerAddressMax: bound };
    server = await startTestServer({ store: 'memory:', auth: { jwt: { secret: testSecret } }, limits });
  });
  afterAll(() => server.stop());

  it.each(drivers.map((driver) => ({ name: driver.name, driver })))(
    `${visits} readers by $name, one after the other, where ${bound} may be at a time`,
    async ({ name, driver }) => {
      const token = await mint(testSecret, {
        sub: `visits by ${name.replaceAll(/[^a-z0-9]/gi, '-')}`,
        subscribe: ['**'],
        publish: ['**'],
        admin: driver.name === 'webhook',
      });
      for (let visit = 0; visit < visits; visit += 1) {
        // The end of the one before may be on its way still.
        const reader = await vi.waitFor(() => driver.read({ ...server, token }, 'visits'), {
          timeout: 60_000,
          interval: 20,
        });
        reader.close();
      }
    },
  );

  const body = 'Host: localhost\r\nContent-Length: 2\r\n';
  it.each([
    ['a body', `POST /channels/x HTTP/1.1\r\n${body}\r\nhi`],
    ['an invalid token', `POST /channels/x HTTP/1.1\r\n${body}Authorization: Bearer x\r\n\r\nhi`],
    ['half a body', `POST /channels/x HTTP/1.1\r\n${body}\r\nh`],
    ['a bad coding', 'POST /channels/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: foo\r\n\r\n'],
    ['a hope for 100', `POST /channels/x HTTP/1.1\r\n${body}Expect: 100-continue\r\n\r\n`],
    ['another hope', `POST /channels/x HTTP/1.1\r\n${body}Expect: foo\r\n\r\n`],
    ['a stream', 'GET /channels/x HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n'],
    [
      'an upgrade',
      'GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    ],
    ['no HTTP', 'x\r\n\r\n'],
  ])('%s from a stranger, more often than strangers may be', async (_, request) => {
    const { port } = new URL(server.url);
    for (let visit = 0; visit < visits; visit += 1) {
      const socket = connect(Number(port), '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(request);
      const [answer] = (await once(socket, 'data')) as [Buffer];
      expect(answer.toString('latin1')).toMatch(/^HTTP\/1\.1 (100 Continue\s+HTTP\/1\.1 )?[45]/);
      socket.destroy();
    }
  });
});
