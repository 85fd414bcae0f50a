import { pino, stdSerializers, type DestinationStream } from 'pino';
import { styleText } from 'node:util';
import type { Log } from '../core/seams/log.ts';

export type LogLevel = 'silent' | 'error' | 'warn' | 'info' | 'debug';

export interface LogOptions {
  readonly level: LogLevel;
  /** `auto`: text for people on a terminal, JSON otherwise. */
  readonly format: 'auto' | 'json' | 'text';
}

/** Where lines go; standard error unless a test wants to read them. */
export interface LogTarget {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
}

/** The log: one line per event. An error goes into the field `err`. */
export function createLog(options: LogOptions, target: LogTarget = process.stderr): Log {
  const isText = options.format === 'text' || (options.format === 'auto' && target.isTTY === true);
  const stream: DestinationStream = isText
    ? { write: (line) => void target.write(formatLine(line, target.isTTY === true)) }
    : { write: (line) => void target.write(line) };
  const serializers = { err: stdSerializers.err };
  return pino({ level: options.level, base: null, serializers, formatters: { level: nameLevel } }, stream);
}

function nameLevel(label: string): object {
  return { level: label };
}

interface Line {
  readonly level: string;
  readonly time: number;
  readonly msg?: string;
  readonly err?: { readonly message: string; readonly stack?: string };
}

const colours: ReadonlyMap<string, 'red' | 'yellow' | 'green'> = new Map([
  ['error', 'red'],
  ['warn', 'yellow'],
  ['info', 'green'],
]);

/** `07:12:03.123 warn  the text  filter="a/**"`, and an error's stack below it. */
function formatLine(json: string, isColoured: boolean): string {
  const { level, time, msg = '', err, ...fields } = JSON.parse(json) as Line;
  const colour = colours.get(level);
  const label = level.padEnd(5);
  const shown =
    isColoured && colour !== undefined ? styleText(colour, label, { validateStream: false }) : label;
  const rest = Object.entries(fields).map(([name, value]) => ` ${name}=${JSON.stringify(value)}`);
  const cause = err === undefined ? '' : `\n${withoutControls(err.stack ?? err.message)}`;
  return `${new Date(time).toISOString().slice(11, 23)} ${shown} ${msg}${rest.join('')}${cause}\n`;
}

/** The error text of a library may quote a peer, and a peer must not control a terminal. */
function withoutControls(text: string): string {
  return text.replaceAll(
    /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
