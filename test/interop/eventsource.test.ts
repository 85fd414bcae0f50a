import { EventSource } from 'eventsource';
import { describe, it } from 'vitest';
import type { Envelope } from '@everywire/protocol';
import { channel, surviveRestart } from './restart-scenario.ts';

describe('the npm package eventsource', () => {
  it('reconnects by itself through kill -9 and restart, and misses nothing', async () => {
    let source: EventSource | undefined;
    try {
      await surviveRestart(async (http) => {
        let opened = 0;
        const received: Envelope[] = [];
        source = new EventSource(`${http}/channels/${channel}?format=envelope`);
        source.addEventListener('open', () => {
          opened += 1;
        });
        source.addEventListener('message', ({ data }) => {
          received.push(JSON.parse(data as string) as Envelope);
        });
        return { opened: async () => opened, received: async () => received };
      });
    } finally {
      source?.close();
    }
  }, 60_000);
});
