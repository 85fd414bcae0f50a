import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AllowedOrigins } from '../../src/http/origin.ts';
import { startRig, type Rig } from './rig.ts';
import { WireClient, type Answer } from '../../../../test/clients/http/wire-client.ts';

/** What a page of this origin may read, it may also read when the request is refused before the router has seen it. */
const origin = 'https://app.example';
const host = `Host: localhost\r\nOrigin: ${origin}\r\n`;

describe('an answer that is made beside the router', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await startRig({
      front: { allowedOrigins: new AllowedOrigins([origin]) },
      prepare: ({ requests }) => {
        const handle = (): never => {
          throw new Error('refused by its head');
        };
        requests.add({ matches: (path) => path === '/raw', bodyBytesMax: 10, handle });
      },
    });
  });
  afterAll(() => rig.stop());

  const ask = async (text: string): Promise<Answer> => {
    await using client = new WireClient(rig.port);
    await client.send(text);
    return await client.answer();
  };

  const refused: readonly (readonly [status: number, what: string, send: string])[] = [
    [
      413,
      'a body that is announced too long',
      `POST /channels/a HTTP/1.1\r\n${host}Content-Length: 9999999\r\n\r\n`,
    ],
    [413, 'the same of a transport', `POST /raw HTTP/1.1\r\n${host}Content-Length: 11\r\n\r\n`],
    [417, 'an unknown expectation', `POST /channels/a HTTP/1.1\r\n${host}Expect: wonders\r\n\r\n`],
    [431, 'too many fields', `GET /livez HTTP/1.1\r\n${host}${'a: b\r\n'.repeat(101)}\r\n`],
    [431, 'too long a head', `GET /livez HTTP/1.1\r\n${host}a: ${'b'.repeat(40_000)}\r\n\r\n`],
    [
      431,
      'too long a head, the origin last',
      `GET /livez HTTP/1.1\r\na: ${'b'.repeat(17_000)}\r\n${host}\r\n`,
    ],
    [400, 'a target with a fragment', `GET /livez#a HTTP/1.1\r\n${host}\r\n`],
    [400, 'an invalid field', `GET /livez HTTP/1.1\r\n${host}no field\r\n\r\n`],
    [400, 'a target that is no UTF-8', `GET /problems/%ff HTTP/1.1\r\n${host}\r\n`],
    [400, 'a GET with a body', `GET /livez HTTP/1.1\r\n${host}Content-Length: 1\r\n\r\nx`],
    [
      400,
      'a GET with a chunk',
      `GET /livez HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n`,
    ],
    [400, 'an invalid chunk', `POST /channels/a HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\nzz\r\n`],
    [
      501,
      'an unknown coding',
      `POST /channels/a HTTP/1.1\r\n${host}Transfer-Encoding: gzip, chunked\r\n\r\n`,
    ],
  ];
  it.each(refused)('lets the page read %i for %s', async (status, _what, send) => {
    const answer = await ask(send);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('access-control-allow-origin')).toBe(origin);
    expect(answer.headers.get('access-control-expose-headers')).toContain('Retry-After');
    expect(answer.headers.get('vary')).toContain('Origin');
  });

  it('is not for pages of other origins', async () => {
    for (const [status, , send] of refused) {
      const answer = await ask(send.replace(origin, 'https://evil.example'));
      expect([status, 403]).toContain(answer.status);
      expect(answer.headers.has('access-control-allow-origin')).toBe(false);
    }
  });

  it('takes an empty body in chunks for none', async () => {
    await using client = new WireClient(rig.port);
    const get = `GET /livez HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`;
    await client.send(get + get, true);
    expect((await client.answer()).status).toBe(200);
    expect((await client.answer()).status).toBe(200);
  });
});

it('lets a page read that the server is shutting down', async () => {
  const rig = await startRig({ front: { allowedOrigins: new AllowedOrigins([origin]) } });
  try {
    rig.front.drain();
    await using client = new WireClient(rig.port);
    const preflight = `OPTIONS /channels/a HTTP/1.1\r\n${host}Access-Control-Request-Method: POST\r\n\r\n`;
    await client.send(preflight);
    expect(await client.answer()).toMatchObject({ status: 204 });
    await client.send(`POST /channels/a HTTP/1.1\r\n${host}Content-Length: 1\r\n\r\nx`);
    const answer = await client.answer();
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([503, origin]);
  } finally {
    await rig.stop();
  }
});
