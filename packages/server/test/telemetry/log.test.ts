import { expect, test } from 'vitest';
import { createLog, type LogOptions } from '../../src/telemetry/log.ts';

function record(
  options: LogOptions,
  isTTY = false,
): { readonly lines: string[]; readonly log: ReturnType<typeof createLog> } {
  const lines: string[] = [];
  return { lines, log: createLog(options, { isTTY, write: (text) => lines.push(text) }) };
}

test('JSON has one object a line, with level, text, fields and the error', () => {
  const { lines, log } = record({ level: 'info', format: 'json' });
  log.warn({ channel: 'a', err: new Error('broken') }, 'it happened');
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/\n$/);
  expect(JSON.parse(lines[0]!)).toMatchObject({
    level: 'warn',
    msg: 'it happened',
    channel: 'a',
    err: { message: 'broken', stack: expect.stringContaining('log.test.ts') },
  });
});

test('text has a line for people, and the stack below it', () => {
  const { lines, log } = record({ level: 'info', format: 'text' });
  log.error({ channel: 'a/b', err: new Error('broken') }, 'it happened');
  expect(lines.join('')).toMatch(
    /^\d\d:\d\d:\d\d\.\d{3} error it happened channel="a\/b"\nError: broken\n {4}at /,
  );
});

test('text has no control characters from a quoted error', () => {
  const { lines, log } = record({ level: 'info', format: 'text' });
  log.error({ err: new Error('no \u001b[2J, no \r, no \u009b1A') }, 'it happened');
  expect(lines.join('')).toContain('Error: no \\u001b[2J, no \\u000d, no \\u009b1A\n    at ');
});

test('levels below the one asked for are silent', () => {
  const { lines, log } = record({ level: 'warn', format: 'json' });
  log.debug({}, 'no');
  log.info({}, 'no');
  log.warn({}, 'yes');
  log.error({}, 'yes');
  expect(lines).toHaveLength(2);
  const silent = record({ level: 'silent', format: 'json' });
  silent.log.error({}, 'no');
  expect(silent.lines).toEqual([]);
});

test('auto is text with colours on a terminal, JSON elsewhere', () => {
  const terminal = record({ level: 'info', format: 'auto' }, true);
  terminal.log.info({}, 'hello');
  expect(terminal.lines[0]).toContain('\u001b[32minfo');
  const pipe = record({ level: 'info', format: 'auto' });
  pipe.log.info({}, 'hello');
  expect(pipe.lines[0]).toMatch(/^\{/);
});
