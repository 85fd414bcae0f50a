import { describe, expect, test } from 'vitest';
import { startRig } from './rig.ts';

const url = (base: string, channel = 'a'): string => `${base}/channels/${channel}`;
const event = { specversion: '1.0', id: 'A-1', source: '/shop', type: 'order.paid', subject: '한 1' };

describe('publishing CloudEvents', () => {
  test('structured: data is the payload, type the event, the rest headers', async () => {
    await using rig = await startRig();
    const body = `{"specversion":"1.0","id":"A-1","source":"/shop","type":"order.paid","subject":"한 1","big":7,"data":{"n": 1.0}}`;
    const answer = await fetch(url(rig.front.url), {
      method: 'POST',
      headers: { 'Content-Type': 'application/cloudevents+json; charset=utf-8' },
      body,
    });
    expect(answer.status).toBe(201);
    const text = await (await fetch(url(rig.front.url))).text();
    expect(text).toContain('"data":{"n": 1.0}');
    expect((JSON.parse(text) as { messages: unknown[] }).messages[0]).toMatchObject({
      event: 'order.paid',
      type: 'application/json',
      headers: { 'ce-id': 'A-1', 'ce-source': '/shop', 'ce-subject': '한 1', 'ce-big': '7' },
    });
  });

  test('binary: the body is the payload, fields are percent-decoded', async () => {
    await using rig = await startRig();
    const answer = await fetch(url(rig.front.url), {
      method: 'POST',
      headers: {
        'Content-Type': 'text/plain',
        'ce-specversion': '1.0',
        'ce-id': 'B',
        'ce-source': '/shop',
        'ce-type': 'everywire.message',
        'ce-subject': '%ED%95%9C%201',
      },
      body: 'hello',
    });
    expect(answer.status).toBe(201);
    const { messages } = (await (await fetch(url(rig.front.url))).json()) as {
      messages: Record<string, unknown>[];
    };
    expect(messages[0]).toMatchObject({ data: 'hello', headers: { 'ce-id': 'B', 'ce-subject': '한 1' } });
    expect(messages[0]).not.toHaveProperty('event');
  });

  test.each([
    ['text', { ...event, datacontenttype: 'text/plain', data: 'hi' }, { type: 'text/plain', data: 'hi' }],
    [
      'bytes',
      { ...event, datacontenttype: 'image/png', data_base64: 'AAEC' },
      { type: 'image/png', base64: 'AAEC' },
    ],
    ['a string of JSON', { ...event, data: 'hi' }, { type: 'application/json', data: 'hi' }],
  ])('%s', async (_name, body, expected) => {
    await using rig = await startRig();
    await fetch(url(rig.front.url), {
      method: 'POST',
      headers: { 'Content-Type': 'application/cloudevents+json' },
      body: JSON.stringify(body),
    });
    const { messages } = (await (await fetch(url(rig.front.url))).json()) as { messages: unknown[] };
    expect(messages[0]).toMatchObject(expected);
  });

  test('an event that is sent again is stored once', async () => {
    await using rig = await startRig();
    const send = (): Promise<Response> =>
      fetch(url(rig.front.url), {
        method: 'POST',
        headers: { 'Content-Type': 'application/cloudevents+json' },
        body: JSON.stringify({ ...event, data: 1 }),
      });
    expect((await send()).status).toBe(201);
    const again = await send();
    expect(again.status).toBe(200);
    expect(await again.json()).toMatchObject({ offset: 1, duplicate: true });
  });

  test.each([
    ['{', 400],
    ['[]', 422],
    ['{"specversion":"1.0","id":"1","source":"/s"}', 422],
    ['{"specversion":"0.3","id":"1","source":"/s","type":"t"}', 422],
    ['{"specversion":"1.0","id":"1","source":"/s","type":"t","Odd-Name":"x"}', 422],
    ['{"specversion":"1.0","id":"1","source":"/s","type":"t","ext":{"a":1}}', 422],
    ['{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1,"data_base64":"AA=="}', 422],
    ['{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"!"}', 422],
    ['{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"no type"}', 422],
  ])('refused: %s', async (body, status) => {
    await using rig = await startRig();
    const answer = await fetch(url(rig.front.url), {
      method: 'POST',
      headers: { 'Content-Type': 'application/cloudevents+json' },
      body,
    });
    expect(answer.status).toBe(status);
  });

  test('the answer to a batch says where several messages are taken', async () => {
    await using rig = await startRig();
    const answer = await fetch(url(rig.front.url), {
      method: 'POST',
      headers: { 'Content-Type': 'application/cloudevents-batch+json' },
      body: '[]',
    });
    expect(answer.status).toBe(415);
  });
});
