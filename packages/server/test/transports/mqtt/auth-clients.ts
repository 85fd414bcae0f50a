import { expect } from 'vitest';
import type { Connect, Properties } from '@everywire/wires/mqtt';
import type { TokenServer } from '../token-server.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';

export type ConnectOptions = Partial<Omit<Connect, 'type'>>;

/** The return codes 4 and 5 of 3.1.1 are read as the reason codes that say the same. */
export const badToken = 0x86;
export const notAuthorized = 0x87;

export const everything = { subscribe: ['**'], publish: ['**'] };

/** What a CONNECT has for a token. */
export function shows(shown: string | undefined, userName: string | undefined = ''): ConnectOptions {
  return { userName, password: shown === undefined ? undefined : Buffer.from(shown) };
}

/** Names a method, so that it can authenticate again. */
export function asks(shown: string, properties: Properties = {}): ConnectOptions {
  const authenticationData = Buffer.from(shown);
  return { properties: { ...properties, authenticationMethod: 'jwt', authenticationData } };
}

/** A client that is connected. `url`: as `RawClient.open` has it. */
export async function open(
  url: string,
  options: ConnectOptions,
): Promise<{ readonly client: RawClient; readonly isPresent: boolean }> {
  const { client, connack } = await RawClient.connected(url, options);
  expect(connack.reasonCode).toBe(0);
  return { client, isPresent: connack.sessionPresent };
}

/** Resolves with the reason of the DISCONNECT, which 3.1.1 has not, when the server has ended the connection. */
export async function endOf(client: RawClient): Promise<number | undefined> {
  const disconnect = client.version === 5 ? await client.next('disconnect') : undefined;
  await client.closed;
  if (disconnect !== undefined)
    expect(disconnect.properties.reasonString).toMatch(/^unauthorized: |^forbidden: /);
  return disconnect?.reasonCode;
}

/** Sends AUTH with another token. */
export function reauthenticate(client: RawClient, shown: string, method = 'jwt'): void {
  client.send({
    type: 'auth',
    reasonCode: 0x19,
    properties: { authenticationMethod: method, authenticationData: Buffer.from(shown) },
  });
}

export function over(server: TokenServer, kind: 'tcp' | 'websocket'): string {
  return kind === 'tcp' ? server.mqtt! : server.url;
}
