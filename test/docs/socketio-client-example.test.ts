import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serveEverywire, type ServedEverywire } from '../support/everywire.ts';
import { runExample, type RunningExample } from './run-example.ts';

const patience = { timeout: 60_000, interval: 20 };

describe('the chat with socket.io-client', { timeout: 300_000 }, () => {
  let folder: string;
  let server: ServedEverywire;
  let running: RunningExample[];

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'everywire-examples-'));
    server = await serve(0);
    running = [];
  });
  afterEach(async () => {
    for (const example of running) await example.kill();
    await server.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  function serve(port: number): Promise<ServedEverywire> {
    return serveEverywire(['--store', `lmdb:${join(folder, 'data')}`, '--port', String(port)]);
  }
  async function start(name: string): Promise<RunningExample> {
    const example = runExample(process.execPath, 'socketio-client.ts', [server.http, 'room-1', name]);
    running.push(example);
    await expect.poll(() => example.talk(), patience).toContain('you are in chat/room-1');
    return example;
  }

  it('shows each line once, also lines sent while the server was away', async () => {
    const [anna, minho] = [await start('anna'), await start('민호')];
    anna.child.stdin.write('hello\n');
    for (const one of running) await expect.poll(() => one.lines(), patience).toEqual(['anna: hello']);
    server.child.kill('SIGKILL');
    await server.ended;
    await expect.poll(() => minho.talk(), patience).toContain('away');
    minho.child.stdin.write('아무도 없나요?\n');
    server = await serve(server.port);
    const lines = ['anna: hello', '민호: 아무도 없나요?'];
    for (const one of running) {
      await expect.poll(() => one.talk(), patience).toContain('back, with everything that was missed');
      await expect.poll(() => one.lines(), patience).toEqual(lines);
    }
    const late = await start('late');
    await expect.poll(() => late.lines(), patience).toEqual(lines);
    const page = await fetch(`${server.http}/channels/chat/room-1?since=earliest`);
    expect(((await page.json()) as { messages: unknown[] }).messages).toHaveLength(2);
  });
});
