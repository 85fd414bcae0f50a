import { describe, expect, it } from 'vitest';
import { defaultLimits } from '../../../src/config/limits.ts';
import type { WebhookHost } from '../../../src/transports/webhook/limits.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import { WebhookRegistry, type RegistryOptions } from '../../../src/transports/webhook/registry.ts';
import { webhookKind } from '../../../src/transports/webhook/row.ts';
import type { Attempt, Sender } from '../../../src/transports/webhook/sender.ts';
import type { TargetRules } from '../../../src/transports/webhook/targets.ts';
import { openSession, publishText, startHub } from '../../core/hub-rig.ts';

const limits = { ...defaultLimits, webhooksMax: 2 };
const anybody = { subject: undefined, isAdmin: true };
const request = { url: 'https://example.com/hook', filter: 'demo' };
const turn = () => new Promise((resolve) => setImmediate(resolve));

interface Rig {
  readonly registry: WebhookRegistry;
  readonly host: WebhookHost;
  /** What removals and posts wait for before they are answered; by then they are done. */
  readonly gate: { removal: Promise<void> | Error | undefined; post: Promise<void> | undefined };
  readonly posts: string[];
}

async function startRegistry(verify = false): Promise<Rig> {
  const hub = await startHub({ limits });
  const gate: Rig['gate'] = { removal: undefined, post: undefined };
  const { records } = hub.store;
  const write = records.write.bind(records);
  records.write = async (writes, conditions) => {
    const isRemoval = writes.some(({ value }) => value === undefined);
    if (isRemoval && gate.removal instanceof Error) throw gate.removal;
    await write(writes, conditions);
    if (isRemoval) await gate.removal;
  };
  const host: WebhookHost = {
    hub,
    limits,
    clock: systemClock,
    random: createSystemRandom(),
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    records,
  };
  const posts: string[] = [];
  const registry = new WebhookRegistry({ ...registryOptions(host, posts, () => gate.post), verify });
  return { registry, host, gate, posts };
}

function registryOptions(
  host: WebhookHost,
  posts: string[],
  held: () => Promise<void> | undefined = () => undefined,
): RegistryOptions {
  const sender = {
    async post({ body }: { readonly body: Buffer }): Promise<Attempt> {
      await held();
      posts.push(body.toString());
      const { data } = JSON.parse(body.toString()) as { readonly data: unknown };
      return { kind: 'taken', status: 200, body: JSON.stringify(data) };
    },
  } as unknown as Sender;
  const rules: TargetRules = {
    check: (url) => new URL(url),
    mayConnect: () => true,
    isNamed: () => false,
  };
  return { host, sender, rules, verify: false, retryDelaysMs: [50] };
}

describe('the registry of webhooks', () => {
  it('lets no deleted webhook write its row again', async () => {
    const { registry, host, gate, posts } = await startRegistry();
    const { id } = await registry.create(anybody, request);
    const removal = Promise.withResolvers<undefined>();
    gate.removal = removal.promise;
    const removed = registry.remove(anybody, id);
    await publishText(await openSession(host.hub as never), 'demo', 'late');
    for (let at = 0; at < 10; at += 1) await turn();
    removal.resolve(undefined);
    await removed;
    expect(posts).toEqual([]);
    expect(await host.records.get(webhookKind(limits).table, id)).toBeUndefined();
  });

  it('continues with one that could not be deleted', async () => {
    const { registry, host, gate, posts } = await startRegistry();
    const { id } = await registry.create(anybody, request);
    gate.removal = new Error('the store is away');
    await expect(registry.remove(anybody, id)).rejects.toThrow('the store is away');
    await publishText(await openSession(host.hub as never), 'demo', 'still');
    await expect.poll(() => posts.length).toBe(1);
    expect((await registry.show(anybody, id)).state).toBe('active');
  });

  it('counts those whose endpoints have not answered yet', async () => {
    const { registry, gate } = await startRegistry(true);
    const answer = Promise.withResolvers<undefined>();
    gate.post = answer.promise;
    const made = [1, 2, 3].map(() => registry.create(anybody, request));
    await expect(made[2]).rejects.toMatchObject({ code: 'quota_exceeded' });
    answer.resolve(undefined);
    await Promise.all(made.slice(0, 2));
    expect(registry.size).toBe(2);
  });

  it('resumes a webhook whose row version 0.1 wrote', async () => {
    const { registry, host, posts } = await startRegistry();
    const session = await openSession(host.hub as never);
    const { cursor } = await publishText(session, 'demo', 'confirmed');
    await publishText(session, 'demo', 'outstanding');
    const earlier = {
      id: 'wh_0123456789ab',
      url: 'https://example.com/hook',
      filter: 'demo',
      format: 'envelope',
      secrets: ['whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz'],
      subject: 'ann',
      createdMs: Date.UTC(2026, 10, 1),
      progress: { cursor, ackedAhead: [], deliveredThroughSeq: 1 },
      failures: 0,
    };
    const { table } = webhookKind(limits);
    await host.records.write([
      { table, key: earlier.id, value: Buffer.from(JSON.stringify(earlier)) },
      { table, key: 'wh_unreadable', value: Buffer.from('{"url":1}') },
    ]);
    await registry.start();
    await expect.poll(() => posts.length).toBe(1);
    expect(JSON.parse(posts[0]!)).toMatchObject({ channel: 'demo', offset: 2, data: 'outstanding' });
    expect(await registry.show({ subject: 'ann', isAdmin: false }, earlier.id)).toMatchObject({
      state: 'active',
      failures: 0,
      created: '2026-11-01T00:00:00.000Z',
    });
    expect(registry.size).toBe(1);
  });

  it('saves the position of each webhook before it stops, and resumes there', async () => {
    const { registry, host, posts } = await startRegistry();
    await registry.create(anybody, request);
    const session = await openSession(host.hub as never);
    await publishText(session, 'demo', '1');
    await expect.poll(() => posts.length).toBe(1);
    await registry.stop();
    await publishText(session, 'demo', '2');
    const again = new WebhookRegistry(registryOptions(host, posts));
    await again.start();
    await expect
      .poll(() => posts.map((body) => (JSON.parse(body) as { data: string }).data))
      .toEqual(['1', '2']);
  });
});
