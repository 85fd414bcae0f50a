import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRig, type Rig } from '../../../packages/server/test/http/rig.ts';
import { cases, get, type Case } from '../../cases/http.ts';
import { WireClient } from '../../clients/http/wire-client.ts';
import { tryAll } from '../../support/try-all.ts';

let rig: Rig;
/** A healthy reader beside every case: it must still receive messages. */
let healthy: WireClient;
let published = 0;

beforeAll(async () => {
  rig = await startRig();
  healthy = new WireClient(rig.port);
  await healthy.send(get('/channels/healthy', 'Accept: application/x-ndjson\r\n'));
  await healthy.until(({ received }) => received.includes('\r\n\r\n\n'));
});

afterAll(async () => {
  await healthy[Symbol.asyncDispose]();
  await rig.stop();
});

/** BAD-INPUT §0, rules 1, 4 and 6: the node serves on, and nothing was stored. */
async function expectServing(): Promise<void> {
  published += 1;
  const text = `still here ${published}`;
  const response = await fetch(`${rig.front.url}/channels/healthy`, { method: 'POST', body: text });
  expect(response.status).toBe(201);
  await healthy.until(({ received }) => received.includes(text));
  const names = await fetch(`${rig.front.url}/channels`);
  const { channels } = (await names.json()) as { channels: { channel: string }[] };
  expect(channels.map(({ channel }) => channel)).toEqual(['healthy']);
  expect(rig.complaints).toEqual([]);
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
}

async function expectAnswer(one: Case, client: WireClient): Promise<void> {
  const answer = await client.answer();
  expect([one.status].flat(), answer.body).toContain(answer.status);
  if (answer.status >= 400) {
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    const problem = JSON.parse(answer.body) as Record<string, unknown>;
    expect(problem).toMatchObject({ status: answer.status });
    for (const field of ['type', 'title', 'detail', 'code']) expect(problem[field]).toBeTypeOf('string');
    if (one.code !== undefined) expect(problem['code']).toBe(one.code);
    if (answer.status === 422) expect(problem['errors']).toEqual(expect.arrayContaining([expect.anything()]));
    // Rule 2: nothing of the inside.
    expect(answer.body).not.toMatch(/node_modules|\.ts|\bat \w+ \(|v\d+\.\d+\.\d+/);
  }
  for (const [name, shape] of Object.entries(one.headers ?? {}))
    expect(answer.headers.get(name)).toMatch(shape);
}

describe.each(cases)('$id $what ($clause)', (one) => {
  it('is answered as the standard says, whole', async () => {
    await using client = new WireClient(rig.port);
    await client.send(one.send);
    await expectAnswer(one, client);
    if (one.close === true) {
      client.socket.end();
      await client.closed();
    } else {
      await client.send(get('/livez'));
      expect((await client.answer()).status).toBe(200);
    }
    await expectServing();
  });

  if (one.close === true)
    it('with a valid request behind it, which is not served', async () => {
      await using client = new WireClient(rig.port);
      const behind = 'POST /channels/smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx';
      await client.send(Buffer.concat([Buffer.from(one.send as string, 'latin1'), Buffer.from(behind)]));
      await expectAnswer(one, client);
      client.socket.end();
      await client.closed();
      expect(client.received).toBe('');
      await expectServing();
    });
});

const short = cases.filter(({ isLong }) => isLong !== true);

it('every case byte by byte', async () => {
  await tryAll(short, async (one) => {
    await using client = new WireClient(rig.port);
    await client.send(one.send, true);
    await expectAnswer(one, client);
  });
  await expectServing();
});

// The reader of HTTP is Node's, which reads from sockets only.
it('every case cut at every byte', async () => {
  await tryAll(short, async ({ send }) => {
    const bytes = Buffer.from(send as string, 'latin1');
    for (let end = 1; end < bytes.length; end += 1) {
      await using client = new WireClient(rig.port);
      client.socket.end(bytes.subarray(0, end));
      await client.closed();
    }
  });
  await expectServing();
}, 300_000);
