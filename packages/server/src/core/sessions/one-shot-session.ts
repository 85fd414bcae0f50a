import type { Identity } from './access.ts';
import type { HubFront } from '../seams/hub-api.ts';
import type { Hello, Session } from '../seams/session-api.ts';
import type { Sink } from '../seams/sink.ts';

/** For a session without subscriptions, or without a reader for its deliveries. */
export const silentSink: Sink = { deliver: () => true, notify: () => undefined, close: () => undefined };

/** Uses a session for one request. @throws EverywireError for everything that the hub refuses */
export async function inOneShotSession<T>(
  hub: HubFront,
  { identity, ...hello }: Hello & { readonly identity: Identity },
  use: (session: Session) => Promise<T>,
  sink: Sink = silentSink,
): Promise<T> {
  const session = hub.open(identity, hello, sink);
  try {
    return await use(session);
  } finally {
    session.end();
  }
}
