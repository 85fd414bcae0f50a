import { toEverywireError } from '@everywire/protocol';
import type { Identity } from '../../core/access.ts';
import type { RecordWrite } from '../../core/store.ts';
import type { Host, Sink } from '../../core/transport.ts';
import { draftOf, type Will } from './wire/index.ts';

/** Nothing is ever delivered to who only publishes a will. */
const nobody: Sink = {
  deliver: () => true,
  notify: () => undefined,
  close: () => undefined,
};

/**
 * Publishes a will, in one transaction with the `records` that say it is published: a crash brings either both or
 * none. It is authorised now, whatever was allowed at CONNECT (T18); one that is refused is gone.
 */
export async function publishWill(
  host: Host,
  identity: Identity,
  will: Will,
  records: readonly RecordWrite[],
): Promise<void> {
  const session = host.hub.open(identity, { transport: 'mqtt' }, nobody);
  try {
    await session.publish(will.topic, draftOf(will), { records });
  } catch (caught) {
    const error = toEverywireError(caught);
    if (error.code === 'store_unavailable') throw error;
    host.log.warn({ err: error }, 'a will was refused');
    if (records.length > 0) await host.records.write(records);
  } finally {
    session.end('left');
  }
}
