import { Pool } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../support/server.ts';
import { hasNginx, startNginx } from './nginx.ts';

interface Receipt {
  readonly offset: number;
  readonly duplicate?: boolean;
}

/** 200 POSTs with keys, 64 of them ahead of their answers on one connection. */
async function publishAll(
  url: string,
  channel: string,
): Promise<{ statuses: number[]; receipts: Receipt[] }> {
  const pool = new Pool(url, { connections: 1, pipelining: 64 });
  const answers = await Promise.all(
    Array.from({ length: 200 }, async (_, at) => {
      const { statusCode, body } = await pool.request({
        path: `/channels/${channel}`,
        method: 'POST',
        idempotent: true,
        headers: { 'Idempotency-Key': `${channel}-${at}`, 'Content-Type': 'text/plain' },
        body: `message ${at}`,
      });
      return { status: statusCode, receipt: (await body.json()) as Receipt };
    }),
  );
  await pool.close();
  return { statuses: answers.map(({ status }) => status), receipts: answers.map(({ receipt }) => receipt) };
}

describe('a client that sends requests ahead', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({});
  });
  afterAll(() => server.stop());

  const expectAll = async (url: string, channel: string): Promise<void> => {
    const { statuses, receipts } = await publishAll(url, channel);
    expect(new Set(statuses)).toEqual(new Set([201]));
    // None was sent a second time, and all are stored in the order in which they were sent.
    expect(receipts.filter(({ duplicate }) => duplicate === true)).toEqual([]);
    expect(receipts.map(({ offset }) => offset)).toEqual(Array.from({ length: 200 }, (_, at) => at + 1));
  };

  it('is answered to all of 200 keyed POSTs on one connection', () => expectAll(server.url, 'direct'));

  it.runIf(hasNginx)('is so behind nginx', async () => {
    await using nginx = await startNginx(server.url, 'proxy_set_header Connection "";');
    await expectAll(`http://127.0.0.1:${nginx.port}`, 'behind-nginx');
  });
});
