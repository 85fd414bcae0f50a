import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defaultLimits } from '../../packages/server/src/config/limits.ts';
import type { Outgoing, Reader } from '../drivers/driver.ts';
import { drivers } from '../drivers/index.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

/** The largest payload, in the forms that grow most on some wire, and what is behind it. */
const bytes = defaultLimits.payloadBytesMax;
const filled = (unit: string): Buffer => Buffer.alloc(bytes, unit);
const payloads: readonly (readonly [string, Outgoing])[] = [
  // Six bytes each in JSON.
  ['control characters', { type: 'text/plain', payload: filled('\u0001') }],
  // Seven bytes each as lines of an event stream.
  ['line feeds', { type: 'text/plain', payload: filled('\n') }],
  ['emoji', { type: 'text/plain', payload: filled('\u{1f600}') }],
  ['binary', { type: 'application/octet-stream', payload: filled('\u00ff') }],
  ['JSON', { type: 'application/json', payload: Buffer.from(`"${'\\u0001'.repeat((bytes - 2) / 6)}"`) }],
  ['what is behind them', { type: 'text/plain', payload: Buffer.from('small') }],
];
/** A quality of service changes no size. */
const sized = drivers.filter(({ name }) => !/ QoS [02]$/.test(name));
const hashOf = (payload: Buffer): string => createHash('sha1').update(payload).digest('hex');

describe('the largest payload in its longest form', () => {
  let server: TestServer;
  let readers: readonly (readonly [string, Reader])[];

  beforeAll(async () => {
    server = await startTestServer({});
    readers = await Promise.all(
      sized.map(async (driver) => [driver.name, await driver.read(server, 'worst/**')] as const),
    );
  });
  afterAll(async () => {
    for (const [, reader] of readers) reader.close();
    await server.stop();
  });

  const publishers = sized.filter(({ publish }) => publish !== undefined);

  it.each(publishers)('published by $name reaches every reader', { timeout: 60_000 }, async (from) => {
    const channel = `worst/${from.name.replaceAll(' ', '-')}`;
    for (const [name, message] of payloads) {
      await from.publish!(server, channel, message);
      await Promise.all(
        readers.map(async ([readerName, reader]) => {
          const { payload } = await reader.next();
          expect(hashOf(payload), `${name}, read by ${readerName}`).toBe(hashOf(message.payload));
        }),
      );
    }
  });
});
