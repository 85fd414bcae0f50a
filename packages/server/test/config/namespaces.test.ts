import { expect, test } from 'vitest';
import { completeConfig } from '../../src/config/load.ts';
import { namespacesOf } from '../../src/config/namespaces.ts';

const retentionOf = (retention: object) =>
  namespacesOf(completeConfig({ retention }).config).rulesOf('any/channel').retention;

test.each([
  [{ age: 60 }, { ageMsMax: 60_000 }],
  [{ age: '30s' }, { ageMsMax: 30_000 }],
  [{ bytes: '2KiB' }, { bytesMax: 2_048 }],
  [{ count: 'unlimited' }, { countMax: Number.MAX_SAFE_INTEGER }],
])('retention %j', (given, expected) => {
  expect(retentionOf(given)).toMatchObject(expected);
});

test.each([
  [{ age: 9_000_000_000_000 }, 'ageMsMax'],
  [{ age: 1e21 }, 'ageMsMax'],
  [{ age: '999999999d' }, 'ageMsMax'],
  [{ bytes: '999999999GiB' }, 'bytesMax'],
  [{ bytes: 1e21 }, 'bytesMax'],
  [{ count: 1e300 }, 'countMax'],
] as const)('what the schema takes is a bound that can be calculated with: %j', (given, name) => {
  expect(retentionOf(given)[name]).toSatisfy((bound) => Number.isSafeInteger(bound) && Number(bound) > 1e11);
});
