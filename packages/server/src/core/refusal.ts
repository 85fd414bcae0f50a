import { toEverywireError } from '@everywire/protocol';
import type { Log } from './seams/log.ts';
import type { Identity } from './sessions/access.ts';

/** Logs a refusal; some protocols cannot report the reason. `what` names the operation and its object. */
export function logRefusal(log: Log, { subject }: Identity, what: object, refusal: unknown): void {
  const { code, message: detail } = toEverywireError(refusal);
  log.debug({ subject, ...what, code, detail }, 'a peer was refused');
}
