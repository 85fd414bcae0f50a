import { describe, expect, it } from 'vitest';
import { defaultLimits } from '../../../src/config/limits.ts';
import { createNamespaces, defaultRules } from '../../../src/core/log/namespaces.ts';
import { openSession, publishText, startHub } from '../hub-rig.ts';

describe('namespaces', () => {
  it('takes the most specific filter, completed by the defaults, in any order', () => {
    const filters = ['**', 'chat/**', 'chat/*', 'chat/room-1', 'chat/*/log'];
    for (const order of [filters, [...filters].reverse()]) {
      const namespaces = createNamespaces(
        order.map((filter) => ({ filter, retention: { countMax: filters.indexOf(filter) } })),
        defaultRules,
        defaultLimits,
      );
      const counted = (channel: string) => namespaces.rulesOf(channel).retention.countMax;
      expect(counted('other')).toBe(0);
      expect(counted('chat')).toBe(1);
      expect(counted('chat/room-2')).toBe(2);
      expect(counted('chat/room-1')).toBe(3);
      expect(counted('chat/room-1/log')).toBe(4);
      expect(counted('chat/room-1/other')).toBe(1);
      expect(namespaces.rulesOf('chat/room-1').retention.ageMsMax).toBe(defaultRules.retention.ageMsMax);
    }
  });

  it('bounds payloads within what the limits allow', async () => {
    const limits = { ...defaultLimits, payloadBytesMax: 10 };
    const entries = [
      { filter: 'small', payloadBytesMax: 3 },
      { filter: 'large', payloadBytesMax: 1_000 },
    ];
    const hub = await startHub({ limits, namespaces: createNamespaces(entries, defaultRules, limits) });
    const session = await openSession(hub);
    for (const [channel, bytesMax] of [
      ['small', 3],
      ['large', 10],
      ['other', 10],
    ] as const) {
      await publishText(session, channel, 'x'.repeat(bytesMax));
      await expect(publishText(session, channel, 'x'.repeat(bytesMax + 1))).rejects.toMatchObject({
        code: 'too_large',
      });
    }
  });

  it('refuses an entry whose filter is invalid', () => {
    expect(() => createNamespaces([{ filter: 'a/**/b' }], defaultRules, defaultLimits)).toThrow(
      /end of a filter/,
    );
  });
});
