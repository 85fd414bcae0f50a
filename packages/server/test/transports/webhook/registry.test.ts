import { describe, expect, it } from 'vitest';
import { defaultLimits } from '../../../src/config/limits.ts';
import type { WebhookHost } from '../../../src/transports/webhook/limits.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import { WebhookRegistry } from '../../../src/transports/webhook/registry.ts';
import { webhookTable } from '../../../src/transports/webhook/row.ts';
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
  const host: WebhookHost = {
    hub,
    limits,
    clock: systemClock,
    random: createSystemRandom(),
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    records: {
      get: (table, key) => records.get(table, key),
      list: (table, prefix, after, limit) => records.list(table, prefix, after, limit),
      async write(writes) {
        const isRemoval = writes.some(({ value }) => value === undefined);
        if (isRemoval && gate.removal instanceof Error) throw gate.removal;
        await records.write(writes);
        if (isRemoval) await gate.removal;
      },
    },
  };
  const posts: string[] = [];
  const sender = {
    async post({ body }: { readonly body: Buffer }): Promise<Attempt> {
      await gate.post;
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
  const registry = new WebhookRegistry({ host, sender, rules, verify, retryDelaysMs: [50] });
  return { registry, host, gate, posts };
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
    expect(await host.records.get(webhookTable, id)).toBeUndefined();
  });

  it('goes on with one that could not be deleted', async () => {
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
});
