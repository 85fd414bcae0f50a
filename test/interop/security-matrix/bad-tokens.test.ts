import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  prepareTokenCorpus,
  tokenCases,
  type TokenCase,
  type TokenCorpus,
} from '../../../packages/server/test/auth/bad-tokens.ts';
import type { ConfigInput } from '../../../packages/server/src/index.ts';
import { createLog } from '../../../packages/server/src/telemetry/log.ts';
import { Refused, type TransportDriver } from '../../drivers/driver.ts';
import { drivers } from '../../drivers/index.ts';
import { findParts } from '../../support/secret-parts.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';

type Issuers = NonNullable<NonNullable<ConfigInput['auth']>['issuers']>;

/** Every token of the corpus, at the handshake of every transport. QoS comes later than that. */
const shown = drivers.filter(({ name }) => !/QoS [02]$/.test(name));
/** Of each transport. */
const atOnce = 3;
/** Clients of Socket.IO leave connections open that they have no more use for; those are strangers' for a while. */
const limits = { unauthenticatedPerAddressMax: 1_500 };
/** From here on a protocol may refuse what carries the token, before it is one. */
const carriedBytesMax = 4 * 1024;

const answerMsMax = 5_000;

const said: string[] = [];
const logged: string[] = [];
const tokens = new Set<string>();
const outcomes = new Map<string, Promise<readonly string[]>>();
let corpus: TokenCorpus;
let server: TestServer;

beforeAll(async () => {
  corpus = await prepareTokenCorpus();
  const log = createLog({ level: 'debug', format: 'json' }, { write: (line) => logged.push(line) });
  server = await startTestServer(
    { store: 'memory:', auth: { issuers: corpus.issuers as Issuers }, limits },
    { log },
  );
  for (const driver of shown) {
    const outcome = showAll(driver);
    // The test that awaits it sees the error.
    outcome.catch(() => undefined);
    outcomes.set(driver.name, outcome);
  }
});
afterAll(async () => {
  await server.stop();
  await corpus.stop();
});

/** What was not as it should be. */
async function showAll(driver: TransportDriver): Promise<readonly string[]> {
  const queue = [...tokenCases];
  const faults: string[] = [];
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
        const fault = await show(driver, next);
        if (fault !== undefined) faults.push(`${next.id} ${next.what}: ${fault}`);
      }
    }),
  );
  return faults;
}

async function answered<T>(attempt: Promise<T>): Promise<T> {
  const limit = Promise.withResolvers<never>();
  const timer = setTimeout(() => limit.reject(new Error('no answer')), answerMsMax);
  try {
    return await Promise.race([attempt, limit.promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function show(driver: TransportDriver, { make, refused }: TokenCase): Promise<string | undefined> {
  const token = make({ nowMs: Date.now(), trapUrl: corpus.trap.url });
  if (token.length <= 16 * 1024) tokens.add(token);
  let error: Error | undefined;
  try {
    const reader = await answered(driver.read({ ...server, token }, 'anywhere'));
    reader.close();
  } catch (caught) {
    error = caught as Error;
  }
  if (refused === undefined) return error && `refused: ${error.message}`;
  // HTTP takes off the white space around the value of a header, and so the server never sees it.
  if (error === undefined)
    return inHeader.has(driver.transport) && token.trim() !== token ? undefined : 'it was let in';
  if (isUnsendable(error)) return isPrintable.test(token) ? `not sent: ${error.message}` : undefined;
  if (error instanceof Refused) {
    said.push(error.said);
    if (error.code === 'unauthorized') return undefined;
    if (error.code === 'malformed' && !isPrintable.test(token)) return undefined;
  }
  return token.length > carriedBytesMax ? undefined : `refused otherwise: ${error.message}`;
}

const inHeader: ReadonlySet<string> = new Set(['poll', 'stream', 'sse', 'websocket', 'grpc', 'webhook']);
const isPrintable = /^[\x20-\x7e]*$/;

/** The library at the client's end refuses to put it into a header. */
function isUnsendable(error: Error): boolean {
  return !(error instanceof Refused) && /^Metadata|in header content|ByteString|^Headers/.test(error.message);
}

it.each(shown)(
  'by $name',
  async ({ name }) => {
    expect(await outcomes.get(name)).toEqual([]);
  },
  240_000,
);

it('nothing of a token, and no stack, is in an answer or in the log', async () => {
  await Promise.all(outcomes.values());
  expect(said.length).toBeGreaterThan(shown.length * 100);
  expect(logged.length).toBeGreaterThan(0);
  expect(findParts([...tokens], [...said, ...logged])).toEqual([]);
  const isStack = (text: string): boolean => /\bat \S+ \(|node:internal|\.ts:\d|"stack"/.test(text);
  // At the level for debugging, what Node says of a broken HTTP/2 connection is logged whole.
  const atWork = logged.filter((line) => !line.includes('"level":"debug"'));
  expect([...said, ...atWork].filter(isStack)).toEqual([]);
});

it('no token made the server ask anybody for a key', () => {
  expect(corpus.trap.connections).toBe(0);
});
