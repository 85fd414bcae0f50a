import { reasonCodes } from '@everywire/wires/mqtt';

/** WebSocket close codes (RFC 6455 §7.4.1). */
export const normalClose = 1000;
export const goingAwayClose = 1001;
export const protocolClose = 1002;
export const policyClose = 1008;

/** The close code of a WebSocket (RFC 6455 §7.4.1). */
export function closeCode(reasonCode: number): number {
  if (reasonCode < 0x80) return normalClose;
  const isRefused =
    reasonCode === reasonCodes.notAuthorized || reasonCode === reasonCodes.badUserNameOrPassword;
  return isRefused ? policyClose : protocolClose;
}
