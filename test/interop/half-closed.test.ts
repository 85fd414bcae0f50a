import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../support/server.ts';

/** Sends, closes the sending half (`shutdown(SHUT_WR)`), and returns what comes until the server closes as well. */
async function sendAndShut(address: string, bytes: string | Buffer): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port: Number(/\d+$/.exec(address)![0]), allowHalfOpen: true });
  socket.setEncoding('latin1');
  socket.end(bytes);
  return text(socket);
}

describe('a client that closes its half after it has asked', () => {
  let server: TestServer;
  beforeAll(async () => {
    // Answers wait for the disk.
    server = await startTestServer({});
  });
  afterAll(() => server.stop());

  const head = 'HTTP/1.1\r\nHost: localhost\r\n';
  it.each([
    ['POST /channels/half', `POST /channels/half ${head}Content-Length: 5\r\n\r\nhello`, 201, '"offset":'],
    [
      'POST /publish',
      `POST /publish ${head}Content-Type: application/json\r\nContent-Length: 30\r\n\r\n[{"channel":"half","data":"a"}]`.replace(
        '30',
        '31',
      ),
      200,
      '"offset":',
    ],
    ['GET of a page', `GET /channels/half ${head}\r\n`, 200, '"messages":['],
    [
      'GET without Connection: keep-alive',
      'GET /channels/half HTTP/1.0\r\nHost: localhost\r\n\r\n',
      200,
      '"messages":[',
    ],
    ['a long poll', `GET /channels/quiet?wait=40s ${head}\r\n`, 200, '"messages":[]'],
    ['an event stream', `GET /channels/half ${head}Accept: text/event-stream\r\n\r\n`, 200, 'retry:'],
    [
      'a stream of lines',
      `GET /channels/half ${head}Accept: application/x-ndjson\r\n\r\n`,
      200,
      'application/x-ndjson',
    ],
    ['an unknown path', `GET /nothing ${head}\r\n`, 404, 'not_found'],
    ['a preflight', `OPTIONS /channels/half ${head}\r\n`, 204, 'Allow'],
    ['a handshake of Engine.IO', `GET /socket.io/?EIO=4&transport=polling ${head}\r\n`, 200, '"sid"'],
    [
      'a call of Connect',
      `POST /everywire.v1.Messaging/Publish ${head}Content-Type: application/json\r\nContent-Length: 36\r\n\r\n{"channel":"half","data":"aGVsbG8="} `,
      200,
      '"offset"',
    ],
  ])('is answered to %s', async (_what, bytes, status, part) => {
    const answer = await sendAndShut(server.url, bytes);
    expect(Number(answer.slice(9, 12))).toBe(status);
    expect(answer.toLowerCase()).toContain(part.toLowerCase());
  });

  it('is answered to all of several requests', async () => {
    const publish = `POST /channels/several ${head}Content-Length: 5\r\n\r\nhello`;
    const answer = await sendAndShut(server.url, publish.repeat(100));
    expect(answer.match(/HTTP\/1\.1 201/g)).toHaveLength(100);
  });

  it('has its messages acknowledged by MQTT', async () => {
    const connectPacket = Buffer.from([0x10, 13, 0, 4, ...Buffer.from('MQTT'), 4, 2, 0, 60, 0, 1, 97]);
    const publish = Buffer.from([0x32, 6, 0, 1, 97, 0, 7, 120]);
    const answer = await sendAndShut(server.mqtt!, Buffer.concat([connectPacket, publish]));
    expect(Buffer.from(answer, 'latin1').toString('hex')).toBe('20020000' + '40020007');
  });

  it('has its receipts from STOMP', async () => {
    const frames =
      'CONNECT\naccept-version:1.2\nhost:localhost\n\n\0SEND\ndestination:half\nreceipt:r-1\n\nhello\0';
    const answer = await sendAndShut(server.stomp!, frames);
    expect(answer).toMatch(/^CONNECTED\n[^]*RECEIPT\nreceipt-id:r-1\n/);
  });
});
