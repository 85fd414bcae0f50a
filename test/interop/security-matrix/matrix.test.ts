import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { transportNames } from '../../../packages/server/src/transports/index.ts';
import { drivers } from '../../drivers/index.ts';
import { Cell, SecuredServer } from './cell.ts';
import { expiry, promisedMs, refresh, revoke, times } from './life.ts';
import * as rules from './rules.ts';

/** Every transport × every rule. A square that has nothing to show says why; none can be left out. */
const matrix: Readonly<Record<string, rules.Rule>> = {
  'subscribe denied': rules.subscribeDenied,
  'publish denied': rules.publishDenied,
  'wildcard overlap': rules.wildcardOverlap,
  'replay denied': rules.replayDenied,
  'retained denied': rules.retainedDenied,
  expiry,
  refresh,
  revoke,
  size: rules.size,
  rate: rules.rate,
  subscriptions: rules.subscriptions,
  'reserved $': rules.reserved,
  'bad name': rules.badNames,
};

const squareMsMax = 100_000;

/** All that hang fail together, and not each after the other. */
async function withinLimit<T>(square: Promise<T>): Promise<T> {
  const limit = Promise.withResolvers<never>();
  const timer = setTimeout(() => limit.reject(new Error(`not done in ${squareMsMax} ms`)), squareMsMax);
  try {
    return await Promise.race([square, limit.promise]);
  } finally {
    clearTimeout(timer);
  }
}

let roomy: SecuredServer;
let slow: SecuredServer;
beforeAll(async () => {
  const { subscriptionsMax } = rules;
  roomy = await SecuredServer.start({ subscriptionsMax, webhooksMax: subscriptionsMax });
  const { perSecond } = rules.rates;
  slow = await SecuredServer.start({
    publishesPerSecondMax: perSecond,
    publishesBurstMax: perSecond,
    operationsPerSecondMax: perSecond,
    operationsBurstMax: perSecond,
  });
});
afterAll(async () => {
  for (const server of [roomy, slow]) await server.stop();
});

it('has a driver for every transport that the server has', () => {
  expect(new Set(drivers.map(({ transport }) => transport))).toEqual(new Set(transportNames));
});

describe.each(Object.entries(matrix))('%s', (name, rule) => {
  // Most of a square is waiting, so the squares of a rule are filled side by side.
  const squares = new Map<string, Promise<unknown>>();
  beforeAll(() => {
    for (const driver of drivers) {
      const cell = new Cell(rule === rules.rate ? slow : roomy, name.replaceAll(/\W/g, '-'), driver);
      const square = withinLimit<unknown>(rule(cell));
      // The test that awaits it sees the error.
      square.catch(() => undefined);
      squares.set(driver.name, square);
    }
  });

  it.each(drivers)('by $name', async (driver) => {
    const reason = await squares.get(driver.name)!;
    if (reason === undefined) return;
    // A reason is the driver's own, and for the rules that are about publishing or several filters alone.
    const given = [driver.connect, driver.readSeveral].flatMap((one) => ('lacks' in one ? [one.lacks] : []));
    expect(given).toContain(reason);
  });
});

it.for([
  { what: 'the goodbye after the end of a token', name: 'expiryTold', count: drivers.length },
  { what: 'the last message after the end of a token', name: 'expirySilent', count: drivers.length },
  { what: 'the goodbye after a revocation', name: 'revocationTold', count: 2 * drivers.length },
] as const)('$what comes in time', async ({ what, name, count }, context) => {
  const inOrder = times[name].toSorted((one, other) => one - other);
  expect(inOrder).toHaveLength(count);
  const medianMs = inOrder[Math.floor(count / 2)]!;
  await context.annotate(`${what}: median ${medianMs} ms, slowest ${inOrder.at(-1)!} ms`);
  expect(medianMs).toBeLessThan(promisedMs[name]);
});
