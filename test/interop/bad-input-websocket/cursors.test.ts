import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestServer } from '../../../packages/server/test/transports/websocket/server.ts';
import { textFrame } from '../../clients/websocket/client-frames.ts';
import { RawClient } from '../../clients/websocket/raw-client.ts';

/** BAD-INPUT section 2, the columns of WebSocket. */

let server: TestServer;
let cursors: string[];

beforeAll(async () => {
  server = await TestServer.start();
  cursors = [];
  for (const text of ['1', '2', '3']) cursors.push(await server.publish('a', text));
  await server.publish('b', '4');
});

afterAll(async () => {
  expect(server.errors).toEqual([]);
  await server.stop();
});

interface Answer {
  readonly status: number;
  readonly continuity: string | undefined;
  readonly closeCode: number | undefined;
}

async function askRaw(after: string): Promise<Answer> {
  const client = await RawClient.open(server.port, `/channels/a?after=${encodeURIComponent(after)}`);
  const continuity = /^Everywire-Continuity: (.*)$/m.exec(client.head)?.[1]?.trim();
  if (continuity === 'gap') await client.until(() => client.closeCode !== undefined);
  const answer = { status: client.status, continuity, closeCode: client.closeCode };
  client.destroy();
  return answer;
}

type Subscribed = Record<string, unknown> & { error?: { code: string }; continuity?: string };

async function askCommand(client: RawClient, after: unknown): Promise<Subscribed> {
  const before = client.texts.length;
  const isAnswer = (text: string) => text.startsWith('{"id":');
  const count = client.texts.filter(isAnswer).length;
  client.write(textFrame(JSON.stringify({ id: before, op: 'subscribe', channel: 'a', after })));
  await client.until(() => client.texts.filter(isAnswer).length > count);
  return JSON.parse(client.texts.filter(isAnswer).at(-1)!) as Subscribed;
}

const malformed = (cursor: string): string[] => [
  '',
  'x'.repeat(4_096),
  'k3f9/1a2b+9f3c',
  ` ${cursor}`,
  `${cursor}=`,
  `${cursor} `,
  `${cursor}\u0000`,
  ...Array.from({ length: cursor.length }, (_, at) => cursor.slice(0, at)).slice(1),
  cursor.replace(/\.[^.]+\./, '.-1.'),
  cursor.replace(/\.[^.]+\./, `.${(2 ** 53).toString(36)}.`),
  cursor.replace(/\.[^.]+\./, '.01.'),
  `2${cursor.slice(1)}`,
  cursor.toUpperCase(),
];

test('an invalid cursor is refused: 400 at the raw handshake, ok:false on /ws', async () => {
  const client = await RawClient.open(server.port, '/ws');
  for (const text of malformed(cursors[0]!)) {
    // In an address an empty value is as if absent.
    expect([text, (await askRaw(text)).status]).toEqual([text, text === '' ? 101 : 400]);
    expect([text, (await askCommand(client, text)).error?.code]).toEqual([text, 'bad_cursor']);
  }
  expect(client.closeCode).toBeUndefined();
  client.destroy();
});

test('a flipped bit is refused or a gap, never taken for a place', async () => {
  const cursor = cursors[0]!;
  const client = await RawClient.open(server.port, '/ws');
  for (let bit = 0; bit < cursor.length * 8; bit += 1) {
    const bytes = Buffer.from(cursor, 'latin1');
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    const flipped = bytes.toString('latin1');
    const raw = await askRaw(flipped);
    expect([bit, raw.status === 400 || (raw.continuity === 'gap' && raw.closeCode === 4002)]).toEqual([
      bit,
      true,
    ]);
    const answer = await askCommand(client, flipped);
    expect([bit, answer.error?.code === 'bad_cursor' || answer.continuity === 'gap']).toEqual([bit, true]);
  }
  client.destroy();
});

describe('a place of another', () => {
  test('life of the log, and one above the head, are gaps that name the next cursor', async () => {
    const [, seq, tag] = cursors[2]!.split('.');
    const client = await RawClient.open(server.port, '/ws');
    for (const cursor of [`1aaaaaa.${seq}.${tag}`, cursors[2]!.replace(/\.[^.]+\./, '.zzzz.')]) {
      expect(await askRaw(cursor)).toEqual({ status: 101, continuity: 'gap', closeCode: 4002 });
      const answer = await askCommand(client, cursor);
      expect(answer).toMatchObject({ ok: true, continuity: 'gap', gap: { cursor: expect.any(String) } });
    }
    client.destroy();
  });

  test('channel is a place on this one too', async () => {
    const raw = await RawClient.open(server.port, `/channels/b?after=${cursors[0]!}`);
    await raw.until(() => raw.texts.length === 1);
    expect(raw.texts).toEqual(['4']);
    expect(raw.head).toContain('Everywire-Continuity: exact');
    raw.destroy();
  });
});
