import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { endEverything, runEverywire } from '../support/everywire.ts';

/** Every way to start the server: with the same flags of Node, and with an orderly end at SIGTERM. */

afterAll(endEverything);

const root = join(import.meta.dirname, '../..');
const serve = ['serve', '--port', '0', '--store', 'memory:'];
const anyPorts = { EVERYWIRE_MQTT_PORT: '0', EVERYWIRE_STOMP_PORT: '0', EVERYWIRE_GRPC_PORT: '0' };

let folder: string;
let readyFile: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'everywire-start-'));
  readyFile = join(folder, 'ready.json');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** Waits for the ready file, and answers the server's pid and address. */
async function ready(): Promise<{ readonly pid: number; readonly http: string }> {
  await vi.waitUntil(() => existsSync(readyFile), { timeout: 60_000, interval: 20 });
  return JSON.parse(readFileSync(readyFile, 'utf8')) as { pid: number; http: string };
}

function argumentsOf(pid: number): readonly string[] {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
}

const isGone = (pid: number): boolean => !existsSync(`/proc/${pid}`);

describe.skipIf(process.platform !== 'linux')('a server', { timeout: 120_000 }, () => {
  test.each([
    { by: 'npx everywire', command: ['npx', '--no-install', 'everywire', ...serve] },
    { by: 'npm start', command: ['npm', 'start', '--', ...serve.slice(1)] },
  ])('started by $by drains and ends when npm gets SIGTERM', async ({ command: [program, ...args] }) => {
    const env = { ...process.env, ...anyPorts, EVERYWIRE_READY_FILE: readyFile };
    const npm = spawn(program!, args, { cwd: root, env, stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    npm.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
    const { pid, http } = await ready();
    try {
      expect(argumentsOf(pid)).toContain('--max-semi-space-size=2');
      const stream = await fetch(`${http}/channels/a`, { headers: { accept: 'text/event-stream' } });
      npm.kill('SIGTERM');
      expect(await stream.text()).toContain(': goaway');
      await vi.waitUntil(() => isGone(pid), { timeout: 30_000, interval: 20 });
      expect(log).toContain('stopping');
      expect(existsSync(readyFile)).toBe(false);
    } finally {
      if (!isGone(pid)) process.kill(pid, 'SIGKILL');
    }
  });

  test('started by its file has the flags too, and keeps its pid, its arguments and what an operator chose', async () => {
    const args = [...serve, '--ready-file', readyFile];
    const plain = runEverywire(args);
    expect((await ready()).pid).toBe(plain.child.pid);
    const [, flag, , ...rest] = argumentsOf(plain.child.pid!);
    expect([flag, rest.slice(0, args.length)]).toEqual(['--max-semi-space-size=2', args]);
    plain.child.kill('SIGTERM');
    expect(await plain.ended).toMatchObject({ code: 0, stderr: expect.not.stringContaining('Warning') });
    const chosen = runEverywire(args, { env: { NODE_OPTIONS: '--max-semi-space-size=32' } });
    await ready();
    expect(argumentsOf(chosen.child.pid!).join(' ')).not.toContain('semi-space');
    chosen.child.kill('SIGTERM');
    await chosen.ended;
  });
});
