import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defaultLimits } from '../../packages/server/src/config/limits.ts';
import { publishByPost } from '../drivers/http.ts';
import type { Answer, Outgoing, Reader, Received, TransportDriver } from '../drivers/driver.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

export interface TransportContract {
  readonly driver: TransportDriver;
  /** Tests that make no sense for this transport, each with the reason. */
  readonly skip?: readonly { readonly reason: string; readonly tests: readonly string[] }[];
}

export const text = (payload: string): Outgoing => ({ payload: Buffer.from(payload), type: 'text/plain' });

export async function take(reader: Reader, count: number): Promise<Received[]> {
  const taken: Received[] = [];
  while (taken.length < count) taken.push(await reader.next());
  return taken;
}

const textsOf = (messages: readonly Received[]) => messages.map(({ payload }) => payload.toString());

/** The duties of every transport to its readers and publishers, independent of its wire format. */
export function transportContract({ driver, skip = [] }: TransportContract): void {
  const reasons = new Map(skip.flatMap(({ reason, tests }) => tests.map((name) => [name, reason])));
  const used = new Set<string>();

  describe(`transport contract: ${driver.name}`, () => {
    let server: TestServer;
    let channels = 0;
    const freshChannel = () => `contract/${driver.name.replaceAll(' ', '-')}/${(channels += 1)}`;
    const publish = (channel: string, payload: string): Promise<Answer> =>
      publishByPost(server, channel, text(payload));
    const publishMany = async (channel: string, count: number): Promise<Answer[]> => {
      const answers: Answer[] = [];
      for (let at = 1; at <= count; at += 1) answers.push(await publish(channel, String(at)));
      return answers;
    };

    /** A test of the contract; skipped only for the reason that the transport gave. */
    const promise = (name: string, run: () => Promise<void>) => {
      used.add(name);
      const reason = reasons.get(name);
      if (reason === undefined) it(name, run);
      else it.skip(`${name} (${reason})`, run);
    };

    beforeAll(async () => {
      server = await startTestServer({ namespaces: { 'contract/short/**': { retention: { count: 5 } } } });
    });
    afterAll(() => server.stop());

    promise('delivers messages published after its start, in order, with offset and cursor', async () => {
      const channel = freshChannel();
      await publish(channel, 'before');
      const reader = await driver.read(server, channel);
      expect(reader.continuity).toBe('exact');
      const answers = await Promise.all(['a', 'b', 'c'].map((payload) => publish(channel, payload)));
      const received = await take(reader, 3);
      expect(textsOf(received).sort()).toEqual(['a', 'b', 'c']);
      expect(received.map(({ offset }) => offset)).toEqual([2, 3, 4]);
      expect(received.map(({ cursor }) => cursor).sort()).toEqual(answers.map(({ cursor }) => cursor).sort());
      expect(received.every((message) => message.channel === channel)).toBe(true);
      reader.close();
    });

    promise('resumes after a cursor with nothing lost or repeated', async () => {
      const channel = freshChannel();
      const answers = await publishMany(channel, 5);
      const reader = await driver.read(server, channel, { after: answers[1]!.cursor });
      expect(reader.continuity).toBe('exact');
      expect(textsOf(await take(reader, 3))).toEqual(['3', '4', '5']);
      await publish(channel, '6');
      expect(textsOf(await take(reader, 1))).toEqual(['6']);
      reader.close();
    });

    promise('loses and repeats no message published during its start', async () => {
      const channel = freshChannel();
      const answers = await publishMany(channel, 5);
      const published = publishMany(channel, 15);
      const reader = await driver.read(server, channel, { after: answers[1]!.cursor });
      await published;
      const expected = ['3', '4', '5', ...Array.from({ length: 15 }, (_, at) => String(at + 1))];
      expect(textsOf(await take(reader, 18))).toEqual(expected);
      await publish(channel, 'last');
      expect(textsOf(await take(reader, 1))).toEqual(['last']);
      reader.close();
    });

    promise('comes back with the cursor it kept, after a clean end and after a cut', async () => {
      const channel = freshChannel();
      let reader = await driver.read(server, channel);
      const seen: Received[] = [];
      for (let round = 0; round < 6; round += 1) {
        await publishMany(channel, 3);
        seen.push(...(await take(reader, 2)));
        if (round % 2 === 0) reader.close();
        else reader.cut();
        reader = await driver.read(server, channel, { after: seen.at(-1)!.cursor });
      }
      seen.push(...(await take(reader, 18 - seen.length)));
      expect(seen.map(({ offset }) => offset)).toEqual(Array.from({ length: 18 }, (_, at) => at + 1));
      reader.close();
    });

    promise('comes back to a quiet channel without having read anything', async () => {
      const channel = freshChannel();
      const first = await driver.read(server, channel);
      const { cursor } = first;
      first.cut();
      await publish(channel, 'while away');
      const reader = await driver.read(server, channel, { after: cursor });
      expect(reader.continuity).toBe('exact');
      expect(textsOf(await take(reader, 1))).toEqual(['while away']);
      reader.close();
    });

    promise('begins at the earliest message, or at the last n', async () => {
      const channel = freshChannel();
      await publishMany(channel, 4);
      const earliest = await driver.read(server, channel, { since: 'earliest' });
      expect(textsOf(await take(earliest, 4))).toEqual(['1', '2', '3', '4']);
      const last = await driver.read(server, channel, { since: 'last-2' });
      expect(textsOf(await take(last, 2))).toEqual(['3', '4']);
      const ago = await driver.read(server, channel, { since: '-1h' });
      expect(textsOf(await take(ago, 4))).toEqual(['1', '2', '3', '4']);
      for (const reader of [earliest, last, ago]) reader.close();
    });

    promise('gives a filter all its channels in the one order of the store', async () => {
      const base = freshChannel();
      const reader = await driver.read(server, `${base}/*`);
      await Promise.all(Array.from({ length: 30 }, (_, at) => publish(`${base}/${at % 4}`, String(at))));
      await publish(`${base}/0/deeper`, 'does not match');
      const live = await take(reader, 30);
      const replayed = await take(await driver.read(server, `${base}/*`, { since: 'earliest' }), 30);
      expect(live).toEqual(replayed);
      const offsets = new Map<string, number>();
      for (const { channel, offset } of live) {
        expect(offset).toBe((offsets.get(channel) ?? 0) + 1);
        offsets.set(channel, offset);
      }
      reader.close();
    });

    promise(
      'gives a reader behind the retention edge a gap notice, and continues behind the gap',
      async () => {
        const channel = freshChannel().replace('contract/', 'contract/short/');
        const answers = await publishMany(channel, 20);
        const reader = await driver.read(server, channel, { after: answers[2]!.cursor });
        expect(reader.continuity).toBe('gap');
        expect(reader.gap).toMatchObject({
          channel,
          from: 4,
          to: 15,
          reason: 'retention',
          cursor: answers[14]!.cursor,
        });
        expect(textsOf(await take(reader, 5))).toEqual(['16', '17', '18', '19', '20']);
        reader.close();
      },
    );

    promise('answers a cursor of another log with a gap, never with silence', async () => {
      const channel = freshChannel();
      const answers = await publishMany(channel, 3);
      const strange = answers[0]!.cursor.replace(/^1....../, '1zzzzzz');
      const reader = await driver.read(server, channel, { after: strange });
      expect(reader.continuity).toBe('gap');
      expect(reader.gap).toMatchObject({ reason: 'restored' });
      expect(textsOf(await take(reader, 3))).toEqual(['1', '2', '3']);
      reader.close();
    });

    promise('refuses an invalid cursor, start or name', async () => {
      const channel = freshChannel();
      const { cursor } = await publish(channel, 'x');
      for (const after of [cursor.slice(0, -1), `${cursor}=`, cursor.toUpperCase(), 'x'.repeat(2_000)]) {
        await expect(driver.read(server, channel, { after })).rejects.toMatchObject({
          code: 'bad_cursor',
        });
      }
      await expect(driver.read(server, channel, { since: 'last--1' })).rejects.toMatchObject({
        code: 'invalid',
      });
      for (const name of ['a*', 'a/**/b', 'x'.repeat(256), 'a\u0001b', '*/*/*/*/*']) {
        // To MQTT, text with control characters is malformed before it is a name [MQTT-1.5.4-1].
        await expect(driver.read(server, name)).rejects.toMatchObject({
          code: expect.stringMatching(/^(bad_name|malformed)$/) as string,
        });
      }
    });

    promise('refuses to read the server’s own channels', async () => {
      await expect(driver.read(server, '$SYS/x')).rejects.toMatchObject({ code: 'bad_name' });
    });

    promise('keeps odd names apart: nothing is normalised', async () => {
      const base = freshChannel();
      for (const odd of [
        '',
        '/',
        '//',
        '/%2f',
        '/é',
        '/e\u0301',
        // Not at the end, where some libraries take it for white space.
        '/\u2028x',
        '/__proto__',
        '/a b',
        '/?x=1',
        '/#x'.replace('#', '~'),
      ]) {
        const name = base + odd;
        const reader = await driver.read(server, name);
        await publish(name, odd);
        const [message] = await take(reader, 1);
        expect(message).toMatchObject({ channel: name, offset: 1 });
        reader.close();
      }
    });

    promise('holds a reader that stops taking bytes at its cursor, and catches it up exactly', async () => {
      const channel = freshChannel();
      const slow = await driver.read(server, channel);
      const other = await driver.read(server, channel);
      slow.pause!();
      const payload = Buffer.alloc(30_000, 'x').toString();
      const count = 400;
      const published = (async () => {
        for (let at = 0; at < count; at += 1) await publish(channel, payload);
      })();
      const seen = await take(other, count);
      await published;
      slow.resume!();
      const late = await take(slow, count);
      expect(late.map(({ cursor }) => cursor)).toEqual(seen.map(({ cursor }) => cursor));
      slow.close();
      other.close();
    });

    promise('publishes over itself, once per publish id', async () => {
      const channel = freshChannel();
      const message: Outgoing = { ...text('hello'), event: 'greeting', headers: { lang: 'ko' }, key: 'once' };
      const first = await driver.publish!(server, channel, message);
      expect(first).toMatchObject({ offset: 1 });
      expect(await driver.publish!(server, channel, message)).toMatchObject({
        offset: 1,
        cursor: first.cursor,
        duplicate: true,
      });
      expect(await publishByPost(server, channel, message)).toMatchObject({ offset: 1, duplicate: true });
      await expect(
        driver.publish!(server, channel, { ...message, payload: Buffer.from('other') }),
      ).rejects.toMatchObject({
        code: 'conflict',
      });
      const reader = await driver.read(server, channel, { since: 'earliest' });
      expect(await reader.next()).toMatchObject({
        cursor: first.cursor,
        event: 'greeting',
        headers: { lang: 'ko' },
        type: 'text/plain',
      });
      reader.close();
    });

    promise(
      'refuses to publish a message that is too large or has an invalid name, and stores nothing of it',
      async () => {
        const channel = freshChannel();
        const tooLarge = Buffer.alloc(defaultLimits.payloadBytesMax + 1, 'x');
        const published = driver.publish!(server, channel, { payload: tooLarge, type: 'text/plain' });
        if (driver.publishedTooLarge === undefined)
          await expect(published).rejects.toMatchObject({ code: 'too_large' });
        else await published;
        await expect(driver.publish!(server, 'a/+/b', text('x'))).rejects.toMatchObject({
          code: 'bad_name',
        });
        await expect(driver.publish!(server, '$SYS/x', text('x'))).rejects.toMatchObject({
          code: 'bad_name',
        });
        expect((await publish(channel, 'first')).offset).toBe(1);
      },
    );

    promise('says goodbye in its own way when the server stops', async () => {
      const stopping = await startTestServer({});
      const reader = await driver.read(stopping, 'demo');
      const stopped = stopping.stop();
      expect(await reader.goodbye).toMatch(/^(ended|1001|going_away|0x8b)/);
      await stopped;
    });

    it('gives every skip a test that exists', () => {
      expect([...reasons.keys()].filter((name) => !used.has(name))).toEqual([]);
    });
  });
}
