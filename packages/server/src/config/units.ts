import { durationPattern, parseDurationMs } from '@everywire/protocol';

/** The unit of a number in the configuration. Text may name another unit: `256KiB`, `7d`, `PT30S`. */
export type Unit = 'bytes' | 'ms' | 'seconds';

interface UnitWords {
  /** Texts that `readInUnit` understands, for JSON Schema. */
  readonly pattern: string;
  /** For people, with examples. */
  readonly words: string;
  read(text: string): number | undefined;
}

const sizes: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['B', 1],
  ['kB', 1_000],
  ['MB', 1_000 ** 2],
  ['GB', 1_000 ** 3],
  ['KiB', 1_024],
  ['MiB', 1_024 ** 2],
  ['GiB', 1_024 ** 3],
  ['TiB', 1_024 ** 4],
]);

export const sizePattern = '^\\d{1,12}(\\.\\d{1,3})?(B|kB|MB|GB|KiB|MiB|GiB|TiB)?$';

/** Reads a size: `65536`, `256KiB`, `1.5GiB`, `10MB`. `undefined` for other text. */
export function parseSizeBytes(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,12}(?:\.\d{1,3})?)([A-Za-z]*)$/.exec(text) ?? [];
  const factor = sizes.get(unit);
  if (digits === undefined || factor === undefined) return undefined;
  return Math.min(Math.round(Number(digits) * factor), Number.MAX_SAFE_INTEGER);
}

const units: Readonly<Record<Unit, UnitWords>> = {
  bytes: {
    pattern: sizePattern,
    words: 'a size such as 256KiB or 1MiB, or a number of bytes',
    read: parseSizeBytes,
  },
  ms: {
    pattern: durationPattern,
    words: 'a length of time such as 500ms, 10s, 7d or PT1M, or a number of milliseconds',
    read: parseDurationMs,
  },
  seconds: {
    pattern: durationPattern,
    words: 'a length of time such as 10s, 5m or PT1M, or a number of seconds',
    read: (text) => {
      const durationMs = parseDurationMs(text);
      return durationMs === undefined ? undefined : durationMs / 1_000;
    },
  },
};

export function describeUnit(unit: Unit): string {
  return units[unit].words;
}

export function patternOf(unit: Unit): string {
  return units[unit].pattern;
}

/** The number for a text with a unit. Other values are returned unchanged, and the schema checks them. */
export function readInUnit(unit: Unit | undefined, value: unknown): unknown {
  // A bare number is in the unit of the key.
  if (unit === undefined || typeof value !== 'string' || /^\d+$/.test(value)) return value;
  return units[unit].read(value) ?? value;
}

/** The unit in the name of a limit. */
export function unitOfName(name: string): Unit | undefined {
  if (/Bytes/.test(name)) return 'bytes';
  if (/Ms(Max|Min|Default)?$/.test(name)) return 'ms';
  return /(?<!Per)Seconds(Max)?$/.test(name) ? 'seconds' : undefined;
}
