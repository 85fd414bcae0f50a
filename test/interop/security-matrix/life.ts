import { expect } from 'vitest';
import { has, type Addresses, type Reader } from '../../drivers/driver.ts';
import { Pump, text, type Cell } from './cell.ts';
import type { Rule } from './rules.ts';

/** What becomes of a reader when its token ends, in whichever way. */

const lifeMs = 3_000;
/** A square waits so long after the end of a token before it counts what came. */
const silentWithinMs = 1_500;
/** The limit of each single time, for a busy machine. The promise holds for the median of all. */
const hangsAfterMs = 60_000;

/** Milliseconds, of each reader. */
export const times = {
  /** From the end of a token to the goodbye. */
  expiryTold: [] as number[],
  /** From the end of a token to the last message; below 0 where that came before. */
  expirySilent: [] as number[],
  /** From a revocation to the goodbye. */
  revocationTold: [] as number[],
};

/** What the median of each is below. */
export const promisedMs: Readonly<Record<keyof typeof times, number>> = {
  expiryTold: 3_000,
  expirySilent: 1_500,
  revocationTold: 5_000,
};
const tickEveryMs = 100;

const everything = { subscribe: ['**'], publish: ['**'] };

/** Publishes numbers, one after the other, until it is stopped; resolves then with how many. */
function publishNumbers(cell: Cell, channel: string): () => Promise<number> {
  const stop = new AbortController();
  const counted = (async () => {
    let count = 0;
    while (!stop.signal.aborted) {
      await cell.publish(channel, String(count));
      count += 1;
      await new Promise((resolve) => setTimeout(resolve, tickEveryMs));
    }
    return count;
  })();
  return () => {
    stop.abort();
    return counted;
  };
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, at) => String(at));

/** A reader with another subject, which must not notice any of this. */
async function witnessOf(cell: Cell, channel: string): Promise<Pump> {
  const server = await cell.as({ sub: cell.subject('witness'), ...everything });
  return new Pump(await cell.driver.read(server, channel));
}

async function sleepUntil(atMs: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, atMs - Date.now())));
}

/** Asserts that a token has no effect any more, on a new connection or on an older one. */
async function expectWorthless(cell: Cell, server: Addresses, channel: string): Promise<void> {
  const caught = await cell.driver.read(server, channel).catch((error: unknown) => error);
  expect(caught).toMatchObject({ code: 'unauthorized' });
}

export const expiry: Rule = async (cell) => {
  const { driver, base } = cell;
  const witness = await witnessOf(cell, base);
  const endsAtMs = Date.now() + lifeMs;
  const server = await cell.as({ ...everything, exp: endsAtMs / 1_000 });
  const pump = new Pump(await driver.read(server, base));
  const publisher = has(driver.connect) ? await driver.connect(server) : undefined;
  await publisher?.publish(`${base}/own`, text('yes'));
  const stop = publishNumbers(cell, base);
  await pump.until('0');
  const { said, atMs } = await pump.ended;
  expect(said).toMatch(driver.goodbyeOfToken);
  // Dates of tokens are kept to the millisecond.
  expect(atMs).toBeGreaterThan(endsAtMs - 2);
  expect(atMs).toBeLessThan(endsAtMs + hangsAfterMs);
  times.expiryTold.push(atMs - endsAtMs);
  await sleepUntil(endsAtMs + silentWithinMs + 5 * tickEveryMs);
  const count = await stop();
  await witness.until(String(count - 1));
  expect(witness.texts).toEqual(numbers(count));
  expect(pump.texts).toEqual(numbers(pump.texts.length));
  times.expirySilent.push(pump.received.at(-1)!.atMs - endsAtMs);
  await expectWorthless(cell, server, base);
  if (publisher !== undefined) {
    await expect(publisher.publish(`${base}/own`, text('no'))).rejects.toThrow();
    publisher.close();
  }
  expect(await cell.stored(`${base}/own`)).toHaveLength(publisher === undefined ? 0 : 1);
  for (const one of [pump, witness]) one.reader.close();
};

export const refresh: Rule = async (cell) => {
  const { driver, base } = cell;
  const endsAtMs = Date.now() + lifeMs;
  const shortLived = { ...everything, exp: endsAtMs / 1_000 };
  const server = await cell.as(shortLived);
  const next = await cell.as(everything);
  // That the first token did end is seen by one that is not refreshed.
  const other = await cell.as({ ...shortLived, sub: cell.subject('other') });
  const unrefreshed = new Pump(await driver.read(other, base));
  const pumps: Pump[] = [];
  if (has(driver.readRefreshably)) {
    const reader = await driver.readRefreshably(server, base);
    await reader.refresh(next.token!);
    pumps.push(new Pump(reader));
  } else {
    pumps.push(new Pump(await driver.read(server, base)));
  }
  const stop = publishNumbers(cell, base);
  await unrefreshed.ended;
  if (!has(driver.readRefreshably)) {
    const [before] = pumps as [Pump];
    await before.ended;
    pumps.push(new Pump(await comeBack(cell, next, before)));
  }
  await sleepUntil(endsAtMs + silentWithinMs);
  const count = await stop();
  const last = pumps.at(-1)!;
  await last.until(String(count - 1));
  expect(pumps.flatMap(({ texts }) => texts)).toEqual(numbers(count));
  for (const { reader } of [unrefreshed, ...pumps]) reader.close();
};

/** Reconnects and resumes at the cursor, for transports that take no second token. */
async function comeBack({ driver, base }: Cell, server: Addresses, before: Pump): Promise<Reader> {
  if (driver.untoldToReaders?.fields.includes('cursor') !== true)
    return driver.read(server, base, { after: before.reader.cursor });
  // It has none, and begins anew.
  before.received.length = 0;
  return driver.read(server, base, { since: 'earliest' });
}

export const revoke: Rule = async (cell) => {
  const { driver, base } = cell;
  const witness = await witnessOf(cell, base);
  const [sub, jti] = [cell.subject('cid'), cell.subject('token')];
  const ofSubject = await cell.as({ ...everything, sub });
  const byId = { ...everything, sub: cell.subject('dan') };
  const ofToken = await cell.as({ ...byId, jti });
  const sameSubject = await cell.as({ ...byId, jti: `${jti}-2` });
  const cases = [
    { server: ofSubject, what: { sub } },
    { server: ofToken, what: { jti } },
  ];
  const other = new Pump(await driver.read(sameSubject, base));
  for (const { server, what } of cases) {
    const pump = new Pump(await driver.read(server, base));
    const publisher = has(driver.connect) ? await driver.connect(server) : undefined;
    await publisher?.publish(`${base}/own`, text('yes'));
    const before = `before ${JSON.stringify(what)}`;
    await cell.publish(base, before);
    await pump.until(before);
    const atMs = Date.now();
    await cell.operator.revoke(what);
    const ended = await pump.ended;
    expect(ended.said).toMatch(driver.goodbyeOfToken);
    expect(ended.atMs - atMs).toBeLessThan(hangsAfterMs);
    times.revocationTold.push(ended.atMs - atMs);
    await expectWorthless(cell, server, base);
    const after = `after ${JSON.stringify(what)}`;
    await cell.publish(base, after);
    for (const one of [witness, other]) await one.until(after);
    expect(pump.texts).toEqual([before]);
    if (publisher !== undefined) {
      await expect(publisher.publish(`${base}/own`, text('no'))).rejects.toThrow();
      publisher.close();
    }
    pump.reader.close();
  }
  expect(await cell.stored(`${base}/own`)).toHaveLength(has(driver.connect) ? cases.length : 0);
  await expectGoesOn(cell, sameSubject);
  for (const { reader } of [witness, other]) reader.close();
};

async function expectGoesOn({ driver, base }: Cell, server: Addresses): Promise<void> {
  const reader = await driver.read(server, base, { since: 'earliest' });
  expect((await reader.next()).payload.toString()).toMatch(/^before/);
  reader.close();
}
