import { createServer, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { serveEverywire, type ServedEverywire } from '../../support/everywire.ts';

const isLong = process.env['EVERYWIRE_LONG'] === '1';
const messages = isLong ? 100_000 : 4_000;
const kills = isLong ? 20 : 4;
const channels = 8;

/** The faults of a receiver, one attempt in `failsOneIn`. The receiver lists a message that it took, also if its answer fails. */
const failsOneIn = 25;
const mischief: readonly ((response: ServerResponse) => void)[] = [
  (response) => response.writeHead(500).end(),
  (response) => response.writeHead(503, { 'Retry-After': '0' }).end(),
  (response) => response.writeHead(302, { Location: 'http://127.0.0.1:1/' }).end(),
  (response) => response.writeHead(429).end(),
  (response) => response.socket!.resetAndDestroy(),
  (response) => response.socket!.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'),
  // A slow body, which is cut by the time-out.
  (response) => response.writeHead(200).write('x'),
];

const folder = mkdtempSync(join(tmpdir(), 'everywire-webhook-faults-'));
let served: ServedEverywire | undefined;
afterAll(async () => {
  await served?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

it(
  `${messages} messages to a receiver that fails at random, with ${kills} kills of the server: none lost, none reordered`,
  async () => {
    const taken: { readonly id: string; readonly channel: string; readonly offset: number }[] = [];
    let wakeUp = (): void => undefined;
    const receiver = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { channel, offset } = JSON.parse(Buffer.concat(chunks).toString()) as {
          channel: string;
          offset: number;
        };
        taken.push({ id: request.headers['webhook-id'] as string, channel, offset });
        if (Math.random() * failsOneIn < 1) mischief[Math.floor(Math.random() * mischief.length)]!(response);
        else response.writeHead(204).end();
        wakeUp();
      });
    });
    receiver.listen(0, '127.0.0.1');
    await once(receiver, 'listening');
    const port = (receiver.address() as AddressInfo).port;

    const config = join(folder, 'everywire.yaml');
    writeFileSync(
      config,
      `webhooks: {allowTargets: ["127.0.0.1"], retryDelays: [5ms, 20ms]}\nlimits: {webhookTimeoutMs: 300}\nretention: {count: unlimited}\n`,
    );
    let http = '';
    const start = async (): Promise<void> => {
      const args = [
        '--port',
        http === '' ? '0' : new URL(http).port,
        '--store',
        `lmdb:${join(folder, 'data')}`,
        '--config',
        config,
      ];
      served = await serveEverywire(args);
      http = `http://127.0.0.1:${served.port}`;
    };
    await start();
    const registered = await fetch(`${http}/webhooks`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ url: `http://127.0.0.1:${port}/`, filter: 'load/**' }),
    });
    expect(registered.status).toBe(201);
    const perRequest = 500;
    for (let from = 0; from < messages; from += perRequest) {
      const entries = Array.from({ length: perRequest }, (_, at) => ({
        channel: `load/${(from + at) % channels}`,
        data: from + at,
      }));
      const published = await fetch(`${http}/publish`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(entries),
      });
      expect(published.status).toBe(200);
    }

    const until = async (isWanted: () => boolean): Promise<void> => {
      while (!isWanted()) await new Promise<void>((resolve) => (wakeUp = resolve));
    };
    for (let kill = 1; kill <= kills; kill += 1) {
      await until(() => taken.length > (kill * messages) / (kills + 1));
      await served!.dispose();
      await start();
    }
    const seen = new Set<string>();
    let counted = 0;
    await until(() => {
      for (; counted < taken.length; counted += 1) seen.add(taken[counted]!.id);
      return seen.size === messages;
    });

    // In each channel the next one, or the one before it once more: nothing skipped, nothing out of order.
    const heads = new Map<string, number>();
    const faults = taken.filter(({ channel, offset }) => {
      const head = heads.get(channel) ?? 0;
      heads.set(channel, Math.max(head, offset));
      return offset !== head + 1 && offset !== head;
    });
    expect(faults).toEqual([]);
    expect([...heads.values()]).toEqual(Array.from({ length: channels }, () => messages / channels));
    receiver.closeAllConnections();
    receiver.close();
  },
  isLong ? 7_200_000 : 1_200_000,
);
