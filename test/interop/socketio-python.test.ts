import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { defaultLimits } from '../../packages/server/src/config/limits.ts';
import { debianPython, socketIoForPython } from '../../scripts/tools.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { ways } from './socketio-client.ts';
import { describeWith } from './tool-suite.ts';

const program = fileURLToPath(new URL('program/socketio_client.py', import.meta.url));
const patience = { timeout: 60_000, interval: 20 };

/** The other client library that is used a lot: its own Engine.IO, its own parser. */
describeWith(socketIoForPython, 'python-socketio', () => {
  let server: TestServer;
  let child: ChildProcessWithoutNullStreams | undefined;
  let lines: unknown[][];

  beforeAll(async () => {
    server = await startTestServer({});
  });
  afterAll(() => server.stop());
  afterEach(() => {
    child?.kill('SIGKILL');
  });

  function start(transports: readonly string[]): ChildProcessWithoutNullStreams {
    lines = [];
    child = spawn(debianPython, [program, server.url, transports.join(',')]);
    child.stderr.pipe(process.stderr);
    createInterface(child.stdout).on('line', (line) => lines.push(JSON.parse(line) as unknown[]));
    return child;
  }
  async function call(...command: readonly unknown[]): Promise<unknown> {
    const answers = (): unknown[][] => lines.filter(([kind]) => kind === 'answer');
    const before = answers().length;
    child!.stdin.write(`${JSON.stringify(command)}\n`);
    await expect.poll(() => answers().length, patience).toBe(before + 1);
    return answers().at(-1)![1];
  }

  it.each(ways)('subscribes, publishes and receives by $name', async ({ name, transports }) => {
    const channel = `python/${transports.join('-')}`;
    const running = start(transports);
    await expect.poll(() => lines, patience).toEqual([['connected']]);
    expect(await call('subscribe', channel, { since: 'earliest' })).toMatchObject({
      ok: true,
      continuity: 'exact',
    });
    expect(await call('publish', channel, { text: '안녕' }, { event: 'greeting' })).toMatchObject({
      ok: true,
      offset: 1,
    });
    expect(await call('bytes', channel, [0, 255, 30])).toMatchObject({ ok: true, offset: 2 });
    expect(await call('publish', 'a+', 1)).toMatchObject({ ok: false, error: { code: 'bad_name' } });
    await fetch(`${server.url}/channels/${channel}`, { method: 'POST', body: 'from outside' });
    const events = (): unknown[][] => lines.filter(([kind]) => kind === 'event');
    await expect.poll(events, patience).toEqual([
      ['event', 'greeting', { text: '안녕' }, 1, true],
      ['event', 'message', [0, 255, 30], 2, true],
      ['event', 'message', 'from outside', 3, true],
    ]);
    expect(await call('wire'), name).toBe(transports.at(-1));
    running.stdin.write('["leave"]\n');
    await once(running, 'close');
    expect(lines.at(-1)).toEqual(['disconnected']);
  });

  // Its payloads have at most 16 packets; one more, and it disconnects.
  it.each(ways)('catches up with a backlog, and with the largest payload in it, by $name', async (way) => {
    const channel = `python/backlog/${way.transports.join('-')}`;
    const post = (body: string | Uint8Array<ArrayBuffer>, type: string): Promise<Response> =>
      fetch(`${server.url}/channels/${channel}`, { method: 'POST', body, headers: { 'Content-Type': type } });
    const largest = '\u0001'.repeat(defaultLimits.payloadBytesMax);
    const texts = Array.from({ length: 100 }, (_, at) => `text ${at}`);
    const binaries = Array.from({ length: 40 }, (_, at) => [255, at]);
    for (const text of texts) await post(text, 'text/plain');
    for (const bytes of binaries) await post(Uint8Array.from(bytes), 'application/octet-stream');
    await post(largest, 'text/plain');
    await post('behind it', 'text/plain');
    const running = start(way.transports);
    await expect.poll(() => lines, patience).toEqual([['connected']]);
    await call('subscribe', channel, { since: 'earliest' });
    // It runs the handlers of events in threads, each its own, so their order is the offset.
    const data = (): unknown[] =>
      lines
        .filter(([kind]) => kind === 'event')
        .sort(([, , , left], [, , , right]) => Number(left) - Number(right))
        .map((event) => event[2]);
    await expect.poll(() => data().length, patience).toBe(142);
    expect(data()).toEqual([...texts, ...binaries, largest, 'behind it']);
    expect(lines).not.toContainEqual(['disconnected']);
    running.stdin.write('["leave"]\n');
    await once(running, 'close');
  });
});
