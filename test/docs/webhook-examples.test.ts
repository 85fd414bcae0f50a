import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { serveEverywire, type ServedEverywire } from '../support/everywire.ts';
import { runExample, type RunningExample } from './run-example.ts';

const patience = { timeout: 60_000, interval: 20 };
const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

/** The command, the arguments before its own, and the line that it prints for a message. */
const receivers: readonly (readonly [
  tool: string,
  command: string,
  file: string,
  line: (n: number) => string,
])[] = [
  ['node', process.execPath, 'webhook-receiver.ts', (n) => `demo ${n} {"n":${n}}`],
  ['python3', 'python3', 'webhook_receiver.py', (n) => `demo ${n} {"n": ${n}}`],
  ['java', 'java', 'WebhookReceiver.java', (n) => `"offset":${n},`],
];

describe('the webhook receivers of the examples', { timeout: 300_000 }, () => {
  let server: ServedEverywire;
  let example: RunningExample;
  const folder = mkdtempSync(join(tmpdir(), 'everywire-webhook-example-'));
  afterEach(async () => {
    await example.kill();
    await server.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const [tool, command, file, line] of receivers) {
    const isHere = spawnSync(command, ['--version']).error === undefined;
    const title = isHere ? file : `${file} (skipped: ${tool} is not installed)`;
    it.skipIf(!isHere)(`${title} verifies, drops repetitions, and refuses forged requests`, async () => {
      example = runExample(command, file, ['0', secret]);
      await expect.poll(() => example.talk(), patience).toMatch(/listening on \d+/);
      const url = `http://127.0.0.1:${/listening on (\d+)/.exec(example.talk())![1]}/`;
      server = await serveEverywire([], { env: { EVERYWIRE_WEBHOOKS__ALLOW_TARGETS: '127.0.0.1' } });
      const post = (path: string, body: object): Promise<Response> =>
        fetch(`${server.http}${path}`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify(body),
        });
      const { id } = (await (await post('/webhooks', { url, filter: 'demo', secret })).json()) as {
        id: string;
      };
      for (const n of [1, 2]) await post('/channels/demo', { n });
      await expect.poll(() => example.lines().length, patience).toBe(2);
      // Sent again from the start: the same ids, so nothing new is printed but the third.
      await post(`/webhooks/${id}/rewind`, { since: 'earliest' });
      await post('/channels/demo', { n: 3 });
      await expect.poll(() => example.lines().length, patience).toBe(3);
      for (const n of [1, 2, 3]) expect(example.lines()[n - 1]).toContain(line(n));
      const forged = await fetch(url, {
        method: 'POST',
        headers: {
          'webhook-id': 'x',
          'webhook-timestamp': String(Math.floor(Date.now() / 1000)),
          'webhook-signature': 'v1,AAAA',
        },
        body: '{"channel":"demo","offset":9,"data":null}',
      });
      expect(forged.status).toBe(401);
      expect(example.lines()).toHaveLength(3);
    });
  }
});
