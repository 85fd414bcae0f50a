import { parseFilter } from '@everywire/protocol';
import { devOrigins, serializeOrigin } from '../http/origin.ts';
import { isLoopback } from '../net/loopback.ts';
import { trustedProxies } from '../net/trusted-proxies.ts';
import { findDurabilityProblem } from '../stores/index.ts';
import { authenticates, findCertificateProblems, findTokenProblems } from './auth.ts';
import { checkLimits } from './limits.ts';
import type { Config } from './schema.ts';

/** Problems of a configuration whose keys are valid one by one. One sentence each; an empty list is good. */
export function findContradictions(
  config: Config,
  isGiven: (path: readonly string[]) => boolean,
): readonly string[] {
  return [
    ...findOpenDoors(config),
    ...findImpossible(config),
    ...findUselessDurability(config),
    ...findHalfTls(config, isGiven),
    ...findUselessOrigins(config),
  ];
}

/** Settings that would make the server more open than its operator expects. */
function findOpenDoors(config: Config): readonly string[] {
  const { http, insecure } = config;
  const problems = [...findTokenProblems(config), ...findCertificateProblems(config)];
  if (problems.length === 0 && !authenticates(config) && !insecure && !isLoopback(http.host)) {
    problems.push(
      `http.host ${http.host} is not loopback, and authentication is off: every peer that can reach it could read and ` +
        'publish everything. Use 127.0.0.1, set a key (auth.jwt), or --insecure if something in front of it authenticates.',
    );
  }
  return problems;
}

/** Origins that no page has. */
function findUselessOrigins({ allowedOrigins, http }: Config): readonly string[] {
  return allowedOrigins.flatMap((origin) => {
    if (origin === devOrigins) {
      if (isLoopback(http.host)) return [];
      return [
        `allowedOrigins: ${devOrigins} allows every page of this machine, which is for a server on loopback; http.host is ${http.host}. ` +
          'List the origins instead.',
      ];
    }
    if (serializeOrigin(origin) !== undefined) return [];
    return [
      `allowedOrigins: ${JSON.stringify(origin)} can never match. An origin is a scheme, a host and perhaps a port, such as ` +
        'https://app.example or http://localhost:5173.',
    ];
  });
}

/** Settings that ask for TLS, but lack something that TLS needs. */
function findHalfTls(
  { tls, mqtt, stomp }: Config,
  isGiven: (path: readonly string[]) => boolean,
): readonly string[] {
  const problems: string[] = [];
  const { cert, key, passphrase, clientCa, clientCertificates, subjectFrom } = tls;
  if (cert !== undefined && key === undefined) problems.push('tls.cert needs tls.key beside it.');
  if (cert === undefined) {
    if (key !== undefined || passphrase !== undefined) problems.push('tls.key needs tls.cert beside it.');
    if (clientCa !== undefined || clientCertificates !== 'none')
      problems.push('tls.cert is not set, and without TLS there are no client certificates.');
    for (const [name, { tlsPort }] of Object.entries({ mqtt, stomp })) {
      if (tlsPort >= 0 && isGiven([name, 'tlsPort']))
        problems.push(`${name}.tlsPort ${tlsPort} needs a certificate: tls.cert and tls.key.`);
    }
  }
  if (clientCertificates !== 'none' && clientCa === undefined)
    problems.push(`tls.clientCertificates ${clientCertificates} needs tls.clientCa to verify them.`);
  if (subjectFrom !== 'none' && clientCertificates === 'none')
    problems.push(`tls.subjectFrom ${subjectFrom} needs tls.clientCertificates request or require.`);
  return problems;
}

/** Durability that the store does not offer. */
function findUselessDurability({ store, durability, namespaces }: Config): readonly string[] {
  const asked = [
    { key: 'durability', value: durability },
    ...Object.entries(namespaces).flatMap(([filter, { durability: value }]) =>
      value === undefined ? [] : [{ key: `namespaces: ${JSON.stringify(filter)}: durability`, value }],
    ),
  ];
  return asked.flatMap(({ key, value }) => {
    const problem = findDurabilityProblem(store, value);
    return problem === undefined ? [] : [`${key}: ${problem}`];
  });
}

function findImpossible({ http, limits, namespaces, transports }: Config): readonly string[] {
  const problems: string[] = [];
  if (http.port === -1)
    problems.push('http.port -1: HTTP cannot be turned off, health and most transports are served there.');
  if (!Object.values(transports).includes(true)) problems.push('transports: every transport is off.');
  try {
    trustedProxies(http.trustedProxies);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    problems.push(`http.trustedProxies: ${error.message}`);
  }
  try {
    checkLimits(limits);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    problems.push(`${error.message}.`);
  }
  for (const [filter, namespace] of Object.entries(namespaces)) {
    try {
      parseFilter(filter, limits);
    } catch (error) {
      problems.push(`namespaces: ${JSON.stringify(filter)} is not a filter. ${(error as Error).message}`);
    }
    const { payloadBytesMax = 0 } = namespace;
    if (payloadBytesMax > limits.payloadBytesMax) {
      problems.push(
        `namespaces: ${JSON.stringify(filter)} has a payloadBytesMax of ${payloadBytesMax}, but ` +
          `limits.payloadBytesMax allows ${limits.payloadBytesMax}.`,
      );
    }
  }
  return problems;
}
