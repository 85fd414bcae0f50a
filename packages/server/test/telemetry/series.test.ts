import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { errorTable } from '../../../protocol/src/index.ts';
import { createServer as createEverywire, type EverywireServer } from '../../src/server.ts';
import { transportNames } from '../../src/transports/index.ts';

let folder: string;
let server: EverywireServer;
let url: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'everywire-series-'));
  server = createEverywire({
    store: `lmdb:${join(folder, 'data')}`,
    http: { port: 0 },
    mqtt: { port: -1 },
    stomp: { port: -1 },
    grpc: { port: -1 },
    log: { level: 'silent' },
    namespaces: { tiny: { payloadBytesMax: 10 } },
    retention: { count: 2 },
    webhooks: { allowTargets: ['127.0.0.1'], retryDelays: ['1h'] },
  });
  url = (await server.start()).http;
});
afterEach(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

/** All series by name and labels, as Prometheus reads them. */
async function scrape(): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(`${url}/metrics`);
  expect(answer.headers.get('content-type')).toContain('text/plain; version=0.0.4');
  const rows = (await answer.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    rows.map((row) => {
      const [, series, value] = /^(\S+(?:\{.*\})?) (\S+)$/.exec(row) ?? [];
      expect(series, row).toBeDefined();
      return [series!, Number(value)] as const;
    }),
  );
}

const publish = (channel: string, body: string): Promise<Response> =>
  fetch(`${url}/channels/${channel}`, { method: 'POST', headers: { 'Content-Type': 'text/plain' }, body });

test('every series is there from the start, at zero where nothing happened', async () => {
  const series = await scrape();
  const zeros = [
    'everywire_published_total',
    'everywire_refused_total',
    'everywire_delivered_total',
    'everywire_delivery_turns_total',
    ...['http', ...transportNames].flatMap((transport) =>
      [
        'connections',
        'subscriptions_by_transport',
        'published_by_transport_total',
        'published_bytes_total',
        'delivered_by_transport_total',
        'delivered_bytes_total',
      ].map((name) => `everywire_${name}{transport="${transport}"}`),
    ),
    ...Object.keys(errorTable).map((code) => `everywire_refused_by_code_total{code="${code}"}`),
    ...['retention', 'deleted', 'restored', 'damaged', 'unknown'].map(
      (reason) => `everywire_gaps_total{reason="${reason}"}`,
    ),
    ...['active', 'failing', 'paused'].map((state) => `everywire_webhooks{state="${state}"}`),
    ...['attempts_total', 'failures_total', 'lag_seconds'].map((name) => `everywire_webhook_${name}`),
    ...['MQTT sessions', 'webhooks', 'consumer groups', 'durable subscriptions', 'Socket.IO sessions'].map(
      (kind) => `everywire_durable_sessions{kind="${kind}"}`,
    ),
    'everywire_channels',
    'everywire_groups',
    ...['publish_duration', 'delivery_duration'].flatMap((name) => [
      `everywire_${name}_seconds_bucket{le="0.0001"}`,
      `everywire_${name}_seconds_bucket{le="+Inf"}`,
      `everywire_${name}_seconds_sum`,
      `everywire_${name}_seconds_count`,
    ]),
  ];
  for (const name of zeros) expect([name, series.get(name)]).toEqual([name, 0]);
  const others = ['everywire_loop_delay_seconds_count', 'everywire_head_seq', 'everywire_rate_limited_total'];
  for (const name of others) expect([name, series.has(name)]).toEqual([name, true]);
  expect(series.get('everywire_store_up')).toBe(1);
  expect(series.get('everywire_store_bytes')).toBeGreaterThan(0);
  expect(series.get('everywire_store_free_bytes')).toBeGreaterThan(0);
  expect(series.get(`everywire_build_info{version="0.1.0",node="${process.versions.node}"}`)).toBe(1);
  expect(series.has('everywire_flushes_total')).toBe(false);
  // Nothing appears later that a dashboard would have missed.
  const names = [...series.keys()].filter((name) => name.startsWith('everywire_')).sort();
  await publish('a', 'hello');
  await publish('tiny', 'x'.repeat(20));
  const later = [...(await scrape()).keys()].filter((name) => name.startsWith('everywire_')).sort();
  expect(later).toEqual(names);
});

test('publishes, deliveries, refusals and gaps are counted', async () => {
  const stream = await fetch(`${url}/channels/a`, { headers: { Accept: 'text/event-stream' } });
  const reader = stream.body!.getReader();
  for (const text of ['one', 'three', 'seven!!']) expect((await publish('a', text)).status).toBe(201);
  const decoder = new TextDecoder();
  for (let text = ''; !text.includes('seven!!');) text += decoder.decode((await reader.read()).value);
  const refused = await publish('tiny', 'x'.repeat(20));
  const { code } = (await refused.json()) as { readonly code: string };
  await vi.waitUntil(async () => (await scrape()).get('everywire_delivery_duration_seconds_count')! >= 3, {
    timeout: 20_000,
  });
  const series = await scrape();
  const figures = {
    everywire_published_total: 3,
    'everywire_published_by_transport_total{transport="http"}': 3,
    'everywire_published_bytes_total{transport="http"}': 15,
    'everywire_delivered_by_transport_total{transport="sse"}': 3,
    'everywire_delivered_bytes_total{transport="sse"}': 15,
    everywire_publish_duration_seconds_count: 3,
    'everywire_publish_duration_seconds_bucket{le="+Inf"}': 3,
    everywire_channels: 1,
    [`everywire_refused_by_code_total{code="${code}"}`]: 1,
  };
  for (const [name, value] of Object.entries(figures))
    expect([name, series.get(name)]).toEqual([name, value]);
  expect(series.get('everywire_publish_duration_seconds_sum')).toBeGreaterThan(0);
  await reader.cancel();
});

test('gaps and failing webhooks are counted', async () => {
  const { cursor } = (await (await publish('a', '1')).json()) as { readonly cursor: string };
  for (const text of ['2', '3', '4', '5']) await publish('a', text);
  const page = (await (await fetch(`${url}/channels/a?after=${cursor}`)).json()) as { continuity: string };
  expect(page.continuity).toBe('gap');
  const receiver = createServer((request, response) => {
    request.resume();
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const { challenge } = JSON.parse(body || '{}') as { readonly challenge?: string };
      response.statusCode = challenge === undefined ? 500 : 200;
      response.end(challenge === undefined ? '' : JSON.stringify({ challenge }));
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  const { port } = receiver.address() as AddressInfo;
  const headers = { 'Content-Type': 'application/json' };
  const body = JSON.stringify({ url: `http://127.0.0.1:${port}/`, filter: 'a' });
  expect((await fetch(`${url}/webhooks`, { method: 'POST', headers, body })).status).toBe(201);
  await publish('a', 'poison');
  await vi.waitUntil(async () => (await scrape()).get('everywire_webhooks{state="failing"}') === 1, {
    timeout: 20_000,
  });
  const series = await scrape();
  expect(series.get('everywire_gaps_total{reason="retention"}')).toBe(1);
  expect(series.get('everywire_webhook_failures_total')).toBe(1);
  expect(series.get('everywire_webhook_attempts_total')).toBeGreaterThanOrEqual(1);
  expect(series.get('everywire_webhook_lag_seconds')).toBeGreaterThan(0);
  expect(series.get('everywire_durable_sessions{kind="webhooks"}')).toBe(1);
  receiver.closeAllConnections();
  receiver.close();
});
