import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Envelope, Receipt } from '@everywire/protocol';
import { serveEverywire, type ServedEverywire } from '../support/everywire.ts';
import { runExample, type RunningExample } from './run-example.ts';

const patience = { timeout: 60_000, interval: 20 };

/** A test that needs a program of the machine: skipped by name where it is missing, an error in CI. */
function itWith(tool: string, what: string, run: () => Promise<void>): void {
  const isHere = spawnSync(tool, ['--version']).error === undefined;
  if (!isHere && process.env['CI'] === 'true') throw new Error(`${tool} is not installed`);
  it.skipIf(!isHere)(isHere ? what : `${what} (skipped: ${tool} is not installed)`, run);
}

describe('the examples', { timeout: 300_000 }, () => {
  let folder: string;
  let store: readonly string[];
  let server: ServedEverywire;
  let running: RunningExample[];

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'everywire-examples-'));
    store = ['--store', `lmdb:${join(folder, 'data')}`];
    server = await serveEverywire(store);
    running = [];
  });
  afterEach(async () => {
    for (const example of running) await example.kill();
    await server.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  function start(command: string, file: string, args: readonly string[]): RunningExample {
    const example = runExample(command, file, args);
    running.push(example);
    return example;
  }
  async function publish(channel: string, body: string): Promise<Receipt> {
    const headers = { 'Content-Type': 'text/plain' };
    const answer = await fetch(`${server.http}/channels/${channel}`, { method: 'POST', headers, body });
    return (await answer.json()) as Receipt;
  }
  async function killAndRestart(): Promise<void> {
    server.child.kill('SIGKILL');
    await server.ended;
    server = await serveEverywire([...store, '--port', String(server.port)]);
  }
  async function shows(example: RunningExample, lines: readonly string[]): Promise<void> {
    await expect.poll(() => example.lines(), patience).toEqual(lines);
  }

  itWith('curl', 'curl.sh reads what came after a cursor over four transports', async () => {
    const example = start('sh', 'curl.sh', [server.http]);
    expect(await example.ended).toBe(0);
    const sections = example.lines().join('\n').split(/^# /m).slice(1);
    expect(sections).toHaveLength(5);
    expect(JSON.parse(sections[0]!.split('\n')[1]!)).toMatchObject({ offset: 1 });
    for (const section of sections.slice(1)) {
      expect(section).toContain('second');
      expect(section).not.toContain('"data":"first"');
      expect(section).not.toContain('data: first');
    }
  });

  it('sse-reader.ts resumes from the cursor in its file, also after the server was killed', async () => {
    const cursorFile = join(folder, 'cursor.txt');
    const args = [`${server.http}/channels/demo`, cursorFile];
    const first = start(process.execPath, 'sse-reader.ts', args);
    await expect.poll(subscriptions, patience).toBe(1);
    await publish('demo', 'one\ntwo lines');
    await shows(first, ['one', 'two lines']);
    await killAndRestart();
    const last = await publish('demo', 'after the crash');
    await shows(first, ['one', 'two lines', 'after the crash']);
    await expect.poll(() => readFileSync(cursorFile, 'utf8'), patience).toBe(last.cursor);
    await first.kill();
    await publish('demo', 'while it was off');
    const second = start(process.execPath, 'sse-reader.ts', args);
    await shows(second, ['while it was off']);
  });

  it('chat.ts shows each line once, also lines sent while the server was away', async () => {
    const args = [server.http.replace('http', 'ws'), 'room-1'];
    const anna = start(process.execPath, 'chat.ts', [...args, 'anna']);
    const minho = start(process.execPath, 'chat.ts', [...args, '민호']);
    for (const one of [anna, minho])
      await expect.poll(() => one.talk(), patience).toContain('you are in chat/room-1');
    anna.child.stdin.write('hello\n');
    for (const one of [anna, minho]) await shows(one, ['anna: hello']);
    server.child.kill('SIGKILL');
    await server.ended;
    minho.child.stdin.write('아무도 없나요?\n');
    server = await serveEverywire([...store, '--port', String(server.port)]);
    for (const one of [anna, minho]) await shows(one, ['anna: hello', '민호: 아무도 없나요?']);
    const page = await fetch(`${server.http}/channels/chat/room-1?since=earliest`);
    expect(((await page.json()) as { messages: unknown[] }).messages).toHaveLength(2);
  });

  itWith('python3', 'long_poll.py follows from a cursor through a restart', async () => {
    const { cursor } = await publish('demo', 'before');
    await publish('demo', 'one');
    const example = start('python3', 'long_poll.py', [`${server.http}/channels/demo`, cursor]);
    const texts = (): readonly unknown[] =>
      example.lines().map((line) => (JSON.parse(line) as Envelope).data);
    await expect.poll(texts, patience).toEqual(['one']);
    await killAndRestart();
    await publish('demo', 'two');
    await expect.poll(texts, patience).toEqual(['one', 'two']);
  });

  it('grpc-reader.ts resumes from the cursor in its file, also after the server was killed', async () => {
    const cursorFile = join(folder, 'grpc-cursor.txt');
    const args = [server.grpc!, 'demo/**', cursorFile];
    const first = start(process.execPath, 'grpc-reader.ts', args);
    await expect.poll(() => first.talk(), patience).toContain('following');
    await publish('demo/a', 'one');
    await shows(first, ['demo/a 1: one']);
    server.child.kill('SIGKILL');
    await server.ended;
    server = await serveEverywire([...store, ...server.ports]);
    await publish('demo/b', 'after the crash');
    await shows(first, ['demo/a 1: one', 'demo/b 1: after the crash']);
    await first.kill();
    await publish('demo/a', 'while it was off');
    const second = start(process.execPath, 'grpc-reader.ts', args);
    await shows(second, ['demo/a 2: while it was off']);
  });

  it('stomp-worker.ts shares a queue, and takes over the job of a worker that died', async () => {
    const url = `${server.http.replace('http', 'ws')}/stomp`;
    const stuck = start(process.execPath, 'stomp-worker.ts', [url, 'jobs', '600000']);
    await expect.poll(() => stuck.talk(), patience).toContain('waiting for jobs');
    await publish('queue/jobs', 'resize 1.png');
    await expect.poll(subscriptions, patience).toBe(1);
    const worker = start(process.execPath, 'stomp-worker.ts', [url, 'jobs', '0']);
    await expect.poll(() => worker.talk(), patience).toContain('waiting for jobs');
    await publish('queue/jobs', 'resize 2.png');
    await shows(worker, ['resize 2.png']);
    await stuck.kill();
    await shows(worker, ['resize 2.png', 'resize 1.png (again)']);
    await publish('queue/jobs', '');
    await expect.poll(() => worker.talk(), patience).toContain('gave up');
    await killAndRestart();
    await publish('queue/jobs', 'resize 3.png');
    await shows(worker, ['resize 2.png', 'resize 1.png (again)', 'resize 3.png']);
  });

  async function subscriptions(): Promise<number> {
    const metrics = await (await fetch(`${server.http}/metrics`)).text();
    return Number(/^everywire_subscriptions (\d+)$/m.exec(metrics)?.[1]);
  }
});
