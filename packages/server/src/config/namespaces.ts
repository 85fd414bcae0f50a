import { parseDurationMs } from '@everywire/protocol';
import {
  createNamespaces,
  defaultRules,
  type NamespaceEntry,
  type Namespaces,
} from '../core/log/namespaces.ts';
import type { Retention } from '../core/seams/store.ts';
import type { Config } from './schema.ts';
import { parseSizeBytes } from './units.ts';

/**
 * The properties of each channel, in the form that the core reads. @throws EverywireError `bad_name` for an invalid
 * filter
 */
export function namespacesOf({ limits, namespaces, retention }: Config): Namespaces {
  const entries: readonly NamespaceEntry[] = Object.entries(namespaces).map(([filter, given]) => ({
    filter,
    ...(given.payloadBytesMax === undefined ? {} : { payloadBytesMax: given.payloadBytesMax }),
    ...(given.publishesPerSecondMax === undefined
      ? {}
      : { publishesPerSecondMax: given.publishesPerSecondMax }),
    ...(given.detectTypes === undefined ? {} : { detectsTypes: given.detectTypes }),
    ...(given.retention === undefined ? {} : { retention: readRetention(given.retention) }),
  }));
  const defaults = { ...defaultRules, retention: readRetention(retention) };
  return createNamespaces(entries, defaults, limits);
}

interface Given {
  readonly count?: number | string;
  readonly age?: number | string;
  readonly bytes?: number | string;
}

/** Limits that were not given are absent. The schema has checked the syntax of the given ones. */
function readRetention(given: Config['retention']): Retention;
function readRetention(given: Given): Partial<Retention>;
function readRetention({ count, age, bytes }: Given): Partial<Retention> {
  return {
    ...(count === undefined ? {} : { countMax: readBound(count, 1, Number) }),
    ...(age === undefined ? {} : { ageMsMax: readBound(age, secondMs, readAgeMs) }),
    ...(bytes === undefined ? {} : { bytesMax: readBound(bytes, 1, readBytes) }),
  };
}

/**
 * Stores do arithmetic with limits, so `unlimited` is a number that no store reaches, not `Infinity`. A larger value
 * becomes that number too. A bare number is in units of `unit`.
 */
function readBound(value: number | string, unit: number, read: (text: string) => number): number {
  if (value === 'unlimited') return Number.MAX_SAFE_INTEGER;
  return Math.min(typeof value === 'number' ? value * unit : read(value), Number.MAX_SAFE_INTEGER);
}

const secondMs = 1_000;

function readAgeMs(text: string): number {
  const ageMs = parseDurationMs(text);
  if (ageMs === undefined) throw new RangeError(`${text} is not a length of time`);
  return ageMs;
}

function readBytes(text: string): number {
  const bytes = parseSizeBytes(text);
  if (bytes === undefined) throw new RangeError(`${text} is not a number of bytes`);
  return bytes;
}
