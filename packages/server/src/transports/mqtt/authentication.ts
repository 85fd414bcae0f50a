import type { Connect } from '@everywire/wires/mqtt';

/**
 * Authentication methods (MQTT 5 §4.12) whose data is a token. `jwt` is ours; the others are what clients written for
 * other brokers say when they mean the same.
 */
const tokenMethods: ReadonlySet<string> = new Set(['jwt', 'OAUTH2-JWT', 'CUSTOM-JWT']);

export function isTokenMethod(method: string): boolean {
  return tokenMethods.has(method);
}

/**
 * The token of a CONNECT: the data of its method, or the password, so that a client may name a method only in order to
 * authenticate again later. What is empty shows nothing. Bytes that are no UTF-8 are no token, and refused as such.
 */
export function tokenOf({ password, properties }: Connect): string | undefined {
  const shown = properties.authenticationData ?? password;
  return shown === undefined || shown.length === 0 ? undefined : shown.toString();
}
