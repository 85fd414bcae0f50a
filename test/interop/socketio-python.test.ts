import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
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
});
