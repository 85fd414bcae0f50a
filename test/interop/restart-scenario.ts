import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Envelope, Receipt } from '@everywire/protocol';
import { serveEverywire } from '../support/everywire.ts';

/** The EventSource of another project on `channel`, `format=envelope`: the test opens it once and then does not touch it. */
export interface UntouchedReader {
  /** How many times its connection has opened. */
  opened(): Promise<number>;
  received(): Promise<readonly Envelope[]>;
}

export const channel = 'orders/paid';
const path = '/channels/orders/paid';
const half = 200;
const patience = { timeout: 20_000, interval: 50 };

/**
 * A reader follows a channel; the server is killed (SIGKILL) in the middle of publishes and started again on the same
 * port and folder; more is published before the reader has noticed. It must have every message once, in order.
 */
export async function surviveRestart(open: (http: string) => Promise<UntouchedReader>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'everywire-restart-'));
  const store = ['--store', `lmdb:${join(folder, 'data')}`];
  let server = await serveEverywire(store);
  try {
    const { http, port } = server;
    const reader = await open(http);
    await expect.poll(() => reader.opened(), patience).toBe(1);

    const before = await publishSeries(http, 'before');
    await expect.poll(async () => (await reader.received()).length, patience).toBe(half);

    const interrupted = publishUntilKilled(http, () => server.child.kill('SIGKILL'));
    await server.ended;
    const during = await interrupted;
    server = await serveEverywire([...store, '--port', String(port)]);
    const after = await publishSeries(http, 'after');

    const { messages } = (await (await fetch(`${http}${path}?since=earliest&limit=1000`)).json()) as {
      readonly messages: readonly Envelope[];
    };
    await expect.poll(async () => (await reader.received()).length, patience).toBe(messages.length);
    const received = await reader.received();
    expect(received.map(({ offset }) => offset)).toEqual(messages.map((_, index) => index + 1));
    expect(received).toEqual(messages);
    const ids = new Set(received.map(({ id }) => id));
    const accepted = [...before, ...during, ...after];
    expect(accepted.filter(({ id }) => !ids.has(id))).toEqual([]);
    expect(accepted.length).toBeGreaterThanOrEqual(2 * half);
    expect(await reader.opened()).toBeGreaterThanOrEqual(2);
  } finally {
    await server.dispose();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function publish(http: string, text: string): Promise<Receipt> {
  const answer = await fetch(`${http}${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'text/plain' },
    body: text,
  });
  expect(answer.status).toBe(201);
  return (await answer.json()) as Receipt;
}

function publishSeries(http: string, name: string): Promise<Receipt[]> {
  return Promise.all(Array.from({ length: half }, (_, index) => publish(http, `${name} ${index}`)));
}

/** Publishes one after another, has the server killed with some accepted and one on its way; returns the accepted. */
async function publishUntilKilled(http: string, kill: () => void): Promise<readonly Receipt[]> {
  const accepted: Receipt[] = [];
  for (;;) {
    const next = publish(http, `during ${accepted.length}`);
    if (accepted.length === 20) kill();
    try {
      accepted.push(await next);
    } catch (error) {
      // No answer means unknown: the message may be stored or not, and the reader sees what is stored.
      if (error instanceof TypeError || error instanceof SyntaxError) return accepted;
      throw error;
    }
  }
}
