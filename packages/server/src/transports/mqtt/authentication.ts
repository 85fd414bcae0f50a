import { reasonCodes, type Auth, type Connect } from '@everywire/wires/mqtt';

/** User property of AUTH: a subscription that the new token does not allow, and that has ended. */
const unsubscribedProperty = 'everywire-unsubscribed';

/**
 * Authentication methods (MQTT 5 §4.12) whose data is a token. `jwt` is ours; clients written for other brokers use the
 * other names for the same.
 */
const tokenMethods: ReadonlySet<string> = new Set(['jwt', 'OAUTH2-JWT', 'CUSTOM-JWT']);

export function isTokenMethod(method: string): boolean {
  return tokenMethods.has(method);
}

/**
 * The token of a CONNECT: the data of its method, or the password. So a client may send the token as the password, and name
 * a method only to authenticate again later. An empty field is no token. The server refuses bytes that are not UTF-8 as an
 * invalid token.
 */
export function tokenOf({ password, properties }: Connect): string | undefined {
  const shown = properties.authenticationData ?? password;
  return shown === undefined || shown.length === 0 ? undefined : shown.toString();
}

/** Why an AUTH cannot bring a new token (§4.12.1). `method` is that of the CONNECT. */
export function faultOfAuth(
  { reasonCode, properties }: Auth,
  method: string | undefined,
): string | undefined {
  if (method === undefined || properties.authenticationMethod !== method)
    return 'AUTH must have the authentication method of the CONNECT.';
  if (reasonCode !== reasonCodes.reauthenticate)
    return 'AUTH cannot continue: no authentication is in progress.';
  return undefined;
}

/** The answer to an accepted token. `unsubscribed`: filters whose subscriptions it ended. */
export function authAnswer(method: string, unsubscribed: readonly string[]): Auth {
  const userProperties = unsubscribed.map((filter) => [unsubscribedProperty, filter] as const);
  return {
    type: 'auth',
    reasonCode: reasonCodes.success,
    properties: {
      authenticationMethod: method,
      ...(unsubscribed.length === 0 ? {} : { userProperties }),
    },
  };
}
