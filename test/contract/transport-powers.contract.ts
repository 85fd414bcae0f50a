import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  has,
  type Addresses,
  type Has,
  type Outgoing,
  type Reader,
  type Received,
  type TransportDriver,
} from '../drivers/driver.ts';
import { publishByPost } from '../drivers/http.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { mint, testSecret } from '../support/tokens.ts';

/** What a transport may be able to do beside reading and publishing; a driver that lacks it says why. */

const text = (payload: string): Outgoing => ({ payload: Buffer.from(payload), type: 'text/plain' });
const textOf = ({ payload }: Received): string => payload.toString();

export function transportPowers(driver: TransportDriver): void {
  describe(`powers of a transport: ${driver.name}`, () => {
    let server: TestServer;
    let token: string;
    let addresses: Addresses;
    let channels = 0;
    const freshChannel = () => `powers/${driver.name.replaceAll(' ', '-')}/${(channels += 1)}`;

    beforeAll(async () => {
      server = await startTestServer({ auth: { jwt: { secret: testSecret } } });
      token = await mint(testSecret, { subscribe: ['**'], publish: ['**'], admin: true });
      addresses = { ...server, token, adminToken: token };
    });
    afterAll(() => server.stop());

    const publish = (channel: string, payload: string) => publishByPost(addresses, channel, text(payload));

    /** A test of a power; skipped only for the reason that the driver gives. */
    function power<T extends object>(title: string, given: Has<T>, run: (power: T) => Promise<void>): void {
      if (has(given)) it(title, () => run(given));
      else it.skip(`${title} (${given.lacks})`, () => undefined);
    }

    power(
      'delivers what is retained first, and then what is published',
      driver.readRetained,
      async (read) => {
        const channel = freshChannel();
        for (const payload of ['older', 'newer']) {
          const response = await fetch(`${server.url}/channels/${channel}`, {
            method: 'POST',
            headers: {
              Authorization: `Bearer ${token}`,
              'Content-Type': 'text/plain',
              'Everywire-Retain': 'true',
            },
            body: payload,
          });
          expect(response.status).toBe(201);
        }
        const reader = await read(addresses, channel);
        expect(textOf(await reader.next())).toBe('newer');
        await publish(channel, 'live');
        expect(textOf(await reader.next())).toBe('live');
        reader.close();
      },
    );

    power(
      'continues under a new token, with nothing lost or repeated',
      driver.readRefreshably,
      async (read) => {
        const channel = freshChannel();
        const reader = await read(addresses, channel);
        await publish(channel, 'before');
        expect(textOf(await reader.next())).toBe('before');
        await reader.refresh(await mint(testSecret, { subscribe: ['**'], publish: ['**'], admin: true }));
        await publish(channel, 'after');
        expect(textOf(await reader.next())).toBe('after');
        reader.close();
      },
    );

    power(
      'brings what was not acknowledged again, marked, and nothing else',
      driver.readAcknowledging,
      async (read) => {
        const channel = freshChannel();
        const reader = await read(addresses, channel);
        for (const payload of ['1', '2', '3']) await publish(channel, payload);
        expect(textOf(await reader.next())).toBe('1');
        await reader.ack();
        expect(textOf(await reader.next())).toBe('2');
        const heir = await reader.abandon();
        const again = await heir.next();
        expect({ text: textOf(again), isRepeated: again.isRepeated }).toEqual({
          text: '2',
          isRepeated: true,
        });
        await heir.ack();
        expect(textOf(await heir.next())).toBe('3');
        await heir.ack();
        await publish(channel, '4');
        const next = await heir.next();
        expect({ text: textOf(next), isRepeated: next.isRepeated }).toEqual({ text: '4', isRepeated: false });
        await heir.ack();
        heir.close();
      },
    );

    power(
      'brings a client that comes back what it missed, though it names no place',
      driver.readDurably,
      async (read) => {
        const channel = freshChannel();
        const reader = await read(addresses, channel);
        await publish(channel, '1');
        expect(textOf(await reader.next())).toBe('1');
        reader.cut();
        for (const payload of ['2', '3']) await publish(channel, payload);
        const back = await reader.comeBack();
        let next = await back.next();
        // Its acknowledgement may have been on the way when the connection broke.
        if (next.isRepeated === true && textOf(next) === '1') next = await back.next();
        expect([textOf(next), textOf(await back.next())]).toEqual(['2', '3']);
        await publish(channel, '4');
        expect(textOf(await back.next())).toBe('4');
        back.close();
      },
    );

    power('brings a connection its own messages too, in order', driver.readAndPublish, async (read) => {
      const channel = freshChannel();
      const both = await read(addresses, channel);
      await both.publish(channel, text('own'));
      await publish(channel, 'other');
      expect(textOf(await both.next())).toBe('own');
      expect(textOf(await both.next())).toBe('other');
      both.close();
    });

    power('spares a connection its own messages when it asks for that', driver.readOthers, async (read) => {
      const channel = freshChannel();
      const both = await read(addresses, channel);
      await both.publish(channel, text('own'));
      await publish(channel, 'other');
      expect(textOf(await both.next())).toBe('other');
      both.close();
    });

    power('gives each message of a consumer group to one member', driver.readShared ?? {}, async () => {
      const channel = freshChannel();
      const members = [
        await driver.read(addresses, `$share/powers/${channel}`),
        await driver.read(addresses, `$share/powers/${channel}`),
      ];
      const count = 20;
      const seen: string[][] = [[], []];
      const all = Promise.withResolvers<undefined>();
      const take = async (reader: Reader, into: string[]): Promise<void> => {
        for (;;) {
          into.push(textOf(await reader.next()));
          if (seen.flat().length === count) all.resolve(undefined);
        }
      };
      // A reader that is closed at the end rejects; before that it is the test that fails.
      for (const [at, member] of members.entries()) take(member, seen[at]!).catch(all.reject);
      for (let at = 0; at < count; at += 1) await publish(channel, String(at));
      await all.promise;
      expect(
        seen
          .flat()
          .map(Number)
          .toSorted((a, b) => a - b),
      ).toEqual(Array.from({ length: count }, (_, at) => at));
      expect(Math.min(...seen.map(({ length }) => length))).toBeGreaterThan(0);
      for (const member of members) member.close();
    });
  });
}
