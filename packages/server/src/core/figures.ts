import type { Figures } from './seams/hub-api.ts';

export function createFigures(): Figures {
  return {
    published: 0,
    refused: 0,
    rateLimited: 0,
    delivered: 0,
    flushes: 0,
    subscriptions: 0,
    subscriptionsByTransport: new Map(),
    sessions: new Map(),
  };
}
