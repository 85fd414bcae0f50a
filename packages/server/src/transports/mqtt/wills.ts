import { toEverywireError } from '@everywire/protocol';
import type { Identity } from '../../core/sessions/access.ts';
import type { Save } from '../../core/durable/saver.ts';
import { StaleWrite } from '../../core/cluster/stale-write.ts';
import type { Will } from '@everywire/wires/mqtt';
import { draftOf } from './convert.ts';
import type { MqttHost } from './limits.ts';
import { inOneShotSession } from '../../core/sessions/one-shot-session.ts';

/**
 * Publishes a will, in one transaction with the `save` that says it is published: a crash brings either both or
 * none. It is authorised again now, after the check at CONNECT (T18); a refused will is dropped. A revoked token publishes no
 * will. A token that has only expired does: its expiry ended the connection, and readers must learn of that.
 */
export async function publishWill(
  host: MqttHost,
  identity: Identity,
  will: Will,
  { records, fences }: Save,
): Promise<void> {
  const outliving = withoutEnd(identity);
  try {
    await inOneShotSession(host.hub, { transport: 'mqtt', identity: outliving }, (session) => {
      host.hub.checkCurrent(outliving);
      return session.publish(will.topic, draftOf(will), { records, fences });
    });
  } catch (caught) {
    const error = toEverywireError(caught);
    // The node that owns the session now also owns its will.
    if (error.code === 'store_unavailable' || error instanceof StaleWrite) throw error;
    host.log.warn({ err: error, subject: identity.subject }, 'a will was refused');
    if (records.length > 0) await host.records.write(records, { fences });
  }
}

function withoutEnd({ claims, ...identity }: Identity): Identity {
  return { ...identity, claims: claims && { ...claims, expiresAtMs: Number.MAX_SAFE_INTEGER } };
}
