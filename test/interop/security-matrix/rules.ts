import { expect } from 'vitest';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import { has, type Addresses, type Publisher, type Reader } from '../../drivers/driver.ts';
import { Cell, expectRefused, expectStateAfterRefusal, joinsGroups, payloadsOf, take, text } from './cell.ts';

/** What a rule has to say about one transport. Resolves with the reason why it says nothing, where there is one. */
export type Rule = (cell: Cell) => Promise<string | undefined> | Promise<void>;

/** So many filters may a connection of the server of these rules have, and so many webhooks a subject. */
export const subscriptionsMax = 4;
export const { payloadBytesMax } = defaultLimits;

const everything = { subscribe: ['**'], publish: ['**'] };

export const subscribeDenied: Rule = async (cell) => {
  const { driver, base } = cell;
  const server = await cell.as({ subscribe: [`${base}/open`], publish: ['**'] });
  for (const filter of [`${base}/secret`, `${base}/*`, `${base}/**`, '**'])
    await expectRefused(cell, driver.read(server, filter), 'forbidden', filter);
  const code = joinsGroups(driver) ? 'forbidden' : 'bad_name';
  await expectRefused(cell, driver.read(server, `$share/g/${base}/secret`), code, 'a group');
  const nothing = await cell.as({ publish: ['**'] });
  await expectRefused(cell, driver.read(nothing, `${base}/open`), 'forbidden', 'without a list');
  const reader = await driver.read(server, `${base}/open`);
  await cell.publish(`${base}/open`, 'yes');
  expect(payloadsOf(await take(reader, 1))).toEqual(['yes']);
  reader.close();
};

export const publishDenied = async (cell: Cell): Promise<string | undefined> => {
  const { driver, base } = cell;
  const { connect } = driver;
  if (!has(connect)) return connect.lacks;
  const server = await cell.as({ subscribe: ['**'], publish: [`${base}/**`, `!${base}/secret`] });
  for (const channel of [`${base}/secret`, 'elsewhere']) {
    const publisher = await connect(server);
    await expectRefused(cell, publisher.publish(channel, text('no')), 'forbidden', channel);
    await expectStateAfterRefusal(cell, publisher, (same) => same.publish(`${base}/open`, text('same')));
    publisher.close();
    expect(await cell.stored(channel)).toEqual([]);
  }
  await driver.publish!(server, `${base}/open`, text('yes'));
  expect((await cell.stored(`${base}/open`)).at(-1)).toMatchObject({
    data: 'yes',
    from: cell.subject('ann'),
  });
};

export const wildcardOverlap: Rule = async (cell) => {
  const { driver, base } = cell;
  const server = await cell.as({ subscribe: [`${base}/**`, `!${base}/secret/**`] });
  for (const filter of [`${base}/secret/a`, `${base}/secret/*`, `${base}/secret/**`, '**'])
    await expectRefused(cell, driver.read(server, filter), 'forbidden', filter);
  const filters = [`${base}/**`, `${base}/*/a`, ...(joinsGroups(driver) ? [`$share/g/${base}/**`] : [])];
  const readers: Reader[] = [];
  for (const filter of filters) readers.push(await driver.read(server, filter));
  const secrets: string[] = [];
  const publishSecret = async (channel: string) =>
    void secrets.push((await cell.publish(`${base}/secret/${channel}`, 'no')).cursor);
  await publishSecret('a');
  await cell.publish(`${base}/open/a`, 'first');
  await publishSecret('a/deep');
  await publishSecret('a');
  await cell.publish(`${base}/other/a`, 'last');
  for (const reader of readers) {
    const messages = await take(reader, 2);
    expect(payloadsOf(messages).toSorted()).toEqual(['first', 'last']);
    for (const { cursor, channel } of messages) {
      expect(secrets).not.toContain(cursor);
      expect(channel).not.toMatch(/secret/);
    }
    expect(reader).toMatchObject({ continuity: 'exact', gap: undefined });
    reader.close();
  }
  await expectExactAfterFirst(cell, server, `${base}/**`);
  await expectSeen(cell, `${base}/**`, ['no', 'first', 'no', 'no', 'last']);
};

/** A reader that resumes after the first message gets the second one, and no gap for messages in between that it may not read. */
async function expectExactAfterFirst({ driver }: Cell, server: Addresses, filter: string): Promise<void> {
  const first = await driver.read(server, filter, { since: 'earliest' });
  const { cursor } = await first.next();
  first.close();
  if (driver.untoldToReaders?.fields.includes('cursor') === true) return;
  const second = await driver.read(server, filter, { after: cursor });
  expect(payloadsOf(await take(second, 1))).toEqual(['last']);
  expect(second).toMatchObject({ continuity: 'exact', gap: undefined });
  second.close();
}

/** A reader with all rights gets all messages, so the messages that others did not get exist. A webhook keeps the order of each channel only. */
async function expectSeen(cell: Cell, filter: string, payloads: readonly string[]): Promise<void> {
  const server = await cell.as({ sub: cell.subject('bob'), subscribe: ['**'] });
  const reader = await cell.driver.read(server, filter, { since: 'earliest' });
  expect(payloadsOf(await take(reader, payloads.length)).toSorted()).toEqual(payloads.toSorted());
  reader.close();
}

export const replayDenied: Rule = async (cell) => {
  const { driver, base } = cell;
  const server = await cell.as({ subscribe: [`${base}/*`, `!${base}/secret`] });
  const cursors: string[] = [];
  for (const payload of ['first', 'last']) {
    cursors.push((await cell.publish(`${base}/secret`, 'no')).cursor);
    await cell.publish(`${base}/open`, payload);
  }
  for (const from of [
    { since: 'earliest' },
    { since: '-1h' },
    { since: 'last-10' },
    { after: cursors[0]! },
  ]) {
    await expectRefused(cell, driver.read(server, `${base}/secret`, from), 'forbidden', JSON.stringify(from));
    const reader = await driver.read(server, `${base}/*`, from);
    expect(payloadsOf(await take(reader, 2)), JSON.stringify(from)).toEqual(['first', 'last']);
    expect(reader).toMatchObject({ continuity: 'exact', gap: undefined });
    reader.close();
  }
  // A cursor gives no rights: the cursor of another subject's message is a position like any other.
  const reader = await driver.read(server, `${base}/open`, { after: cursors[1]! });
  expect(payloadsOf(await take(reader, 1))).toEqual(['last']);
  reader.close();
  await expectExactAfterFirst(cell, server, `${base}/*`);
  await expectSeen(cell, `${base}/*`, ['no', 'first', 'no', 'last']);
};

export const retainedDenied: Rule = async (cell) => {
  const { driver, base } = cell;
  const server = await cell.as({ subscribe: [`${base}/*`, `!${base}/secret`] });
  await cell.operator.retain(`${base}/secret`, 'no');
  await cell.operator.retain(`${base}/open`, 'yes');
  // Elsewhere what is retained is one of the messages of the log.
  const read = has(driver.readRetained)
    ? driver.readRetained
    : (as: Addresses, filter: string) => driver.read(as, filter, { since: 'earliest' });
  await expectRefused(cell, read(server, `${base}/secret`), 'forbidden');
  const reader = await read(server, `${base}/*`);
  const all = await read(await cell.as({ sub: cell.subject('bob'), subscribe: ['**'] }), `${base}/*`);
  expect(payloadsOf(await take(all, 2)).toSorted()).toEqual(['no', 'yes']);
  await cell.publish(`${base}/open`, 'last');
  expect(payloadsOf(await take(reader, 2))).toEqual(['yes', 'last']);
  for (const one of [reader, all]) one.close();
};

export const size = async (cell: Cell): Promise<string | undefined> => {
  const { driver, base } = cell;
  const { connect } = driver;
  if (!has(connect)) return connect.lacks;
  const server = await cell.as(everything);
  const publisher = await connect(server);
  const sized = (bytes: number) => ({ payload: Buffer.alloc(bytes, 'x'), type: 'text/plain' });
  await publisher.publish(base, sized(payloadBytesMax));
  const tooLarge = publisher.publish(base, sized(payloadBytesMax + 1));
  const staysOpen = driver.publishedTooLarge !== undefined || driver.refusedPublisher === 'stays';
  if (driver.publishedTooLarge === undefined) {
    await expectRefused(cell, tooLarge, 'too_large');
    await expectStateAfterRefusal(cell, publisher, (same) => same.publish(base, text('same')));
  } else {
    await tooLarge;
    await publisher.publish(base, text('same'));
  }
  publisher.close();
  await driver.publish!(server, base, text('last'));
  const lengths = (await cell.stored(base)).map(({ data }) => (data as string).length);
  expect(lengths).toEqual([payloadBytesMax, ...(staysOpen ? [4] : []), 4]);
  return undefined;
};

export const subscriptions = async (cell: Cell): Promise<string | undefined> => {
  const { driver, base } = cell;
  const { readSeveral } = driver;
  if (!has(readSeveral)) return readSeveral.lacks;
  const server = await cell.as(everything);
  const filters = Array.from({ length: subscriptionsMax + 1 }, (_, at) => `${base}/${at}`);
  // Where they come in one request, that is what is wrong with it.
  await expectRefused(cell, readSeveral(server, filters), /^(quota_exceeded|invalid)$/);
  const held = await readSeveral(server, filters.slice(1));
  held.close();
  return undefined;
};

export const reserved: Rule = async (cell) => {
  const { driver, base } = cell;
  const server = await cell.as(everything);
  const code = /^(bad_name|forbidden)$/;
  for (const name of ['$SYS/broker', '$SYS/**', '$x', '$share/g/$SYS/**', '$share/g/$x'])
    await expectRefused(cell, driver.read(server, name), code, name);
  const isSent = (name: string): boolean => driver.unsent?.is.test(name) !== true;
  if (has(driver.connect)) {
    for (const name of ['$SYS/x', '$x', '$share/g/x'].filter(isSent))
      await expectRefused(cell, driver.publish!(server, name, text('no')), code, name);
  }
  const reader = await driver.read(server, `${base}/$x`);
  await cell.publish(`${base}/$x`, 'yes');
  expect(payloadsOf(await take(reader, 1))).toEqual(['yes']);
  reader.close();
};

/** BAD-INPUT 12: texts that are neither a channel nor a filter. */
const badChannels = [
  '',
  'x'.repeat(256),
  Array.from({ length: 17 }, () => 'a').join('/'),
  'a+b',
  'a#',
  'a*b',
  'a\rb',
  'a\nb',
  'a\tb',
  'a\u0085b',
  'a\u0000b',
  'a\u007fb',
];
const badFilters = [...badChannels, 'a/**/b', '*/*/*/*/*', '$share//x', '$share/g'];
/** Filters, in which MQTT's own wildcards mean the same; no channel is called so. */
const wildcards = ['a/*', 'a/**', '*', '**', 'a/+', 'a/#', '+', '#'];

export const badNames: Rule = async (cell) => {
  const { driver, base } = cell;
  const server = await cell.as(everything);
  // Some protocols refuse invalid text before they see a name, or have no route at an address without a name.
  const code = /^(bad_name|malformed|not_found|unsupported|invalid|4\d\d)$/;
  const isSent = (name: string): boolean => driver.unsent?.is.test(name) !== true;
  for (const name of badFilters.filter(isSent))
    await expectRefused(cell, driver.read(server, name), code, JSON.stringify(name));
  if (has(driver.connect)) {
    for (const name of [...badChannels, ...wildcards].filter(isSent))
      await expectRefused(cell, driver.publish!(server, name, text('no')), code, JSON.stringify(name));
  }
  const good = `${base}/a b/%2f/\u2028é/...//x`;
  const reader = await driver.read(server, good);
  await cell.publish(good, 'yes');
  expect(payloadsOf(await take(reader, 1))).toEqual(['yes']);
  reader.close();
};

/** Of a server that takes `publishesPerSecondMax` and `operationsPerSecondMax` a second, and as many at once. */
export const rate = async (cell: Cell): Promise<string | undefined> => {
  const { driver, base } = cell;
  const server = await cell.as(everything);
  const { connect, readSeveral } = driver;
  if (has(readSeveral) && driver.name !== 'webhook') {
    const filters = Array.from({ length: 4 * rates.perSecond }, (_, at) => `${base}/${at}`);
    await expectRefused(cell, readSeveral(server, filters), 'rate_limited', 'subscribing');
    const held = await readSeveral(server, filters.slice(0, rates.perSecond - 1));
    held.close();
  }
  if (!has(connect)) return connect.lacks;
  const publisher = await connect(server);
  const isDelayed = driver.publishedTooFast !== undefined;
  const attempts = 4 * rates.perSecond;
  let count = 0;
  const publishAll = async (): Promise<void> => {
    for (; count < attempts; count += 1) await publisher.publish(base, text(String(count)));
  };
  const beganAtMs = performance.now();
  if (isDelayed) await publishAll();
  else await expectRefused(cell, publishAll(), 'rate_limited', 'publishing');
  const tookMs = performance.now() - beganAtMs;
  // So many at once, and so many more each second; one more is what is paid off later.
  expect(count).toBeLessThanOrEqual(rates.perSecond * (1 + tookMs / 1_000) + 1);
  expect(count).toBeGreaterThanOrEqual(rates.perSecond);
  await expect.poll(async () => (await cell.stored(base)).length).toBe(count);
  if (isDelayed) await publishUntilAccepted(cell, publisher);
  else await expectStateAfterRefusal(cell, publisher, (same) => publishUntilAccepted(cell, same));
  publisher.close();
  const again = await connect(server);
  await publishUntilAccepted(cell, again);
  again.close();
  return undefined;
};

export const rates = { perSecond: 5 } as const;

/** Publishes again and again until the server accepts a message. */
async function publishUntilAccepted(cell: Cell, publisher: Publisher): Promise<void> {
  const channel = cell.base;
  const before = (await cell.stored(channel)).length;
  await expect
    .poll(
      async () => {
        await publisher.publish(channel, text('later')).catch(() => undefined);
        return (await cell.stored(channel)).length;
      },
      { interval: 200 },
    )
    .toBeGreaterThan(before);
}
