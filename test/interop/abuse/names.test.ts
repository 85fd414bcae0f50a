import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Outgoing, Reader, Received, TransportDriver, Untold } from '../../drivers/driver.ts';
import { drivers } from '../../drivers/index.ts';
import { publishByPost } from '../../drivers/http.ts';
import { isLong } from '../../faults/store/sizes.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';

/**
 * Names that every JavaScript object has already, and characters that end a field in some protocol. In every field, the
 * server carries them unchanged to every transport, or refuses them.
 */
const words = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf'];

const marks: readonly (readonly [name: string, mark: string])[] = [
  ['CR', '\r'],
  ['LF', '\n'],
  ['CR LF', '\r\n'],
  ['two LF', '\n\n'],
  ['NUL', '\0'],
  ['U+0085', '\u0085'],
  ['U+2028', '\u2028'],
  ['BOM', '\ufeff'],
  ['the end of an SSE event', '\n\nid: x\ndata: y\n\n'],
  ['the end of a STOMP frame', '\0\nMESSAGE\nx:y\n\n'],
];

type Field = 'channel' | 'event' | 'header' | 'header name' | 'type' | 'key';
const fields: readonly Field[] = ['channel', 'event', 'header', 'header name', 'type', 'key'];

/** What is no name on any transport, or cannot be said by a client of that one. */
const refusals = /bad_name|invalid|malformed|unsupported|too_large|forbidden/;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ store: 'memory:' });
});
afterAll(() => server.stop());

interface Sent {
  readonly channel: string;
  readonly message: Outgoing;
}

const untold = (given: Untold | undefined): readonly string[] => given?.fields ?? [];

/** Own properties alone, so that `__proto__` is a name like any other. */
function withHeader(name: string, value: string): Readonly<Record<string, string>> {
  return Object.fromEntries([[name, value]]);
}

function messageWith(field: Field, text: string): Outgoing {
  const message: Outgoing = { payload: Buffer.from(`${field} ${JSON.stringify(text)}`), type: 'text/plain' };
  if (field === 'event') return { ...message, event: text };
  if (field === 'header') return { ...message, headers: withHeader('h', text) };
  if (field === 'header name') return { ...message, headers: withHeader(text, 'v') };
  if (field === 'type') return { ...message, type: text };
  if (field === 'key') return { ...message, key: text };
  return message;
}

/** Each way to write and to read the fields once: other QoS and other carriers below bring the same bytes. */
const isOwnWay = ({ name }: TransportDriver): boolean =>
  isLong || !/QoS [02]|(stomp|mqtt .*) WebSocket/.test(name);
const read = drivers.filter(isOwnWay);
const publishers = read.filter(
  ({ publish }, at) =>
    publish !== undefined && (isLong || read.findIndex((other) => other.publish === publish) === at),
);

describe.each(publishers.map((driver) => ({ name: driver.name, driver })))(
  'published by $name',
  ({ driver }) => {
    const base = `names/${driver.name.replaceAll(/[^a-z0-9]/gi, '-')}`;
    const readers: { readonly to: TransportDriver; readonly reader: Reader }[] = [];

    beforeAll(async () => {
      for (const to of read) readers.push({ to, reader: await to.read(server, `${base}/*`) });
    });
    afterAll(() => {
      for (const { reader } of readers) reader.close();
    });

    /** Every reader gets what was taken, in order, and then what is published behind it: nothing more, nothing less. */
    async function arrive(taken: readonly Sent[], end: string): Promise<void> {
      await publishByPost(server, `${base}/end`, { payload: Buffer.from(end), type: 'text/plain' });
      await Promise.all(
        readers.map(async ({ to, reader }) => {
          for (const { channel, message } of taken)
            compare(await reader.next(), channel, message, { driver, to });
          expect((await reader.next()).payload.toString(), to.name).toBe(end);
        }),
      );
    }

    async function publish(channel: string, message: Outgoing): Promise<boolean> {
      try {
        await driver.publish!(server, channel, message);
        return true;
      } catch (refusal) {
        // Either the server's word, or a client of the protocol that has no way to write it.
        const { message: said, code = '' } = refusal as Error & { readonly code?: string };
        expect(`${said} ${code}`, 'a fault of the server').not.toMatch(/internal|50[0-9]/);
        return false;
      }
    }

    it('the names that objects have are carried in every field, or refused', async () => {
      const taken: Sent[] = [];
      for (const field of fields) {
        for (const word of words) {
          const channel = field === 'channel' ? `${base}/${word}` : `${base}/x`;
          const message = messageWith(field, word);
          const isTaken = await publish(channel, message);
          if (field === 'channel') expect(isTaken, word).toBe(true);
          if (isTaken) taken.push({ channel, message });
        }
      }
      await arrive(taken, 'the end of words');
    });

    // At QoS 0 the server does not answer whether it took the message; the bytes are those of QoS 1.
    it.runIf(!driver.name.includes('QoS 0'))('characters that end something are as well', async () => {
      const taken: Sent[] = [];
      for (const field of fields) {
        for (const [name, mark] of marks) {
          const text = `a${mark}b`;
          const channel = field === 'channel' ? `${base}/${text}` : `${base}/x`;
          const message = messageWith(field, text);
          const before = await newest(channel);
          const isTaken = await publish(channel, message);
          // What was refused must not be there.
          expect((await newest(channel)) > before, `${field} ${name}`).toBe(isTaken);
          if (isTaken) taken.push({ channel, message });
        }
      }
      await arrive(taken, 'the end of marks');
    });

    /** The offset of the newest message of a channel; 0: there is no message, or the name is invalid. */
    async function newest(channel: string): Promise<number> {
      const path = channel.split('/').map(encodeURIComponent).join('/');
      const answer = await fetch(`${server.url}/channels/${path}?limit=1`, {
        headers: { accept: 'application/json' },
      });
      if (!answer.ok) {
        expect(((await answer.json()) as { readonly code: string }).code).toMatch(refusals);
        return 0;
      }
      const { messages } = (await answer.json()) as {
        readonly messages: readonly { readonly offset: number }[];
      };
      return messages[0]?.offset ?? 0;
    }
  },
);

it('no input has changed the prototype of objects', () => {
  const plain: Record<string, unknown> = {};
  expect(Object.keys(Object.prototype)).toEqual([]);
  expect(Object.getOwnPropertyNames(Object.prototype).sort()).toEqual(
    [
      ...[
        '__defineGetter__',
        '__defineSetter__',
        '__lookupGetter__',
        '__lookupSetter__',
        '__proto__',
        'constructor',
      ],
      ...['hasOwnProperty', 'isPrototypeOf', 'propertyIsEnumerable', 'toLocaleString', 'toString', 'valueOf'],
    ].sort(),
  );
  expect(plain['polluted']).toBeUndefined();
});

/** Case is of no meaning in the names of headers, and HTTP's clients do not keep it. */
function namesOf(
  headers: Readonly<Record<string, string>> | undefined,
): readonly (readonly [string, string])[] {
  return Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]);
}

function compare(
  received: Received,
  channel: string,
  sent: Outgoing,
  { driver, to }: { readonly driver: TransportDriver; readonly to: TransportDriver },
): void {
  const say = `${sent.payload.toString()} to ${to.name}`;
  const missing = new Set([...untold(driver.untoldByPublishers), ...untold(to.untoldToReaders)]);
  expect(received.channel, say).toBe(channel);
  expect(received.payload.toString(), say).toBe(sent.payload.toString());
  const isMqtt = driver.transport === 'mqtt';
  // To each other clients of MQTT say what they like; everybody else is given what headers and types can be.
  if (isMqtt && to.transport === 'mqtt') return;
  const type = isMqtt && !sent.type.includes('/') ? 'text/plain; charset=utf-8' : sent.type;
  if (!missing.has('type')) expect(received.type, say).toBe(type);
  // These clients keep fields in objects that they assign to, which cannot hold this name.
  const isLost =
    [driver, to].some(({ transport }) => transport === 'stomp') && '__proto__' in own(sent.headers);
  if (missing.has('headers') || isLost) return;
  const headers = namesOf(sent.headers).filter((pair) => !isMqtt || !pair.some((text) => control.test(text)));
  expect(namesOf(received.headers), say).toEqual(headers);
  if (sent.event !== undefined) expect(received.event, say).toBe(sent.event);
}

const control = /[\u0000-\u001f\u007f-\u009f]/;

function own(headers: Readonly<Record<string, string>> | undefined): object {
  return Object.assign(
    Object.create(null) as object,
    Object.fromEntries(Object.keys(headers ?? {}).map((name) => [name, 1])),
  );
}
