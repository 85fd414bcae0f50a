import { BlockList, isIP, isIPv6 } from 'node:net';
import { EverywireError } from '@everywire/protocol';
import { isBlockedAddress } from './addresses.ts';

/**
 * The allowed targets of webhooks. Every subject may use the public Internet over https. All other targets (http, private
 * addresses, other ports) are allowed only if `webhooks.allowTargets` of the configuration names them.
 */
export interface TargetRules {
  /** @throws EverywireError `invalid` for an invalid URL, or for one that is forbidden for every address */
  check(url: string): URL;
  /** Called with every address, at every connection: a name may resolve to another address later (T40). */
  mayConnect(host: string, port: number, address: string): boolean;
  /** The operator has listed this target, so it need not prove that it wants to be called. */
  isNamed(url: URL): boolean;
}

const urlLengthMax = 2_048;
const httpsPort = 443;
/** Ports below this belong to system services, which a POST might harm. */
const unprivilegedFrom = 1_024;

/** One entry of `allowTargets`: an address, a network, a host name, or `*.name`; then maybe `:port`. */
interface Rule {
  readonly port: number | undefined;
  matchesHost(host: string): boolean;
  matchesAddress(address: string): boolean;
}

/** @throws RangeError that names the invalid entry */
export function createTargetRules(allowed: readonly string[]): TargetRules {
  const rules = allowed.map(parseRule);
  const portMatches = (rule: Rule, port: number): boolean => rule.port === undefined || rule.port === port;
  const namedBy = (host: string, port: number): boolean =>
    rules.some(
      (rule) =>
        portMatches(rule, port) && (isIP(host) === 0 ? rule.matchesHost(host) : rule.matchesAddress(host)),
    );
  return {
    check(text) {
      const url = parseTarget(text);
      const { host, port } = endpointOf(url);
      // A name may still resolve to an allowed network, which shows only when the server connects.
      if (namedBy(host, port) || (isIP(host) === 0 && rules.length > 0)) return url;
      if (url.protocol !== 'https:')
        throw refused('url must begin with https://, unless the operator allows that target.');
      if (port !== httpsPort && port < unprivilegedFrom)
        throw refused(`Port ${port} is not allowed as a target.`);
      if (isIP(host) !== 0 && isBlockedAddress(host)) throw refused('url must have a public address.');
      if (/(^|\.)(localhost|internal|local)$/.test(host)) throw refused('url must have a public host name.');
      return url;
    },
    mayConnect(host, port, address) {
      const isNamed = rules.some(
        (rule) => portMatches(rule, port) && (rule.matchesHost(host) || rule.matchesAddress(address)),
      );
      if (isNamed) return true;
      return !isBlockedAddress(address) && (port === httpsPort || port >= unprivilegedFrom);
    },
    isNamed(url) {
      const { host, port } = endpointOf(url);
      return namedBy(host, port);
    },
  };
}

/** Host without brackets and without the full stop at the end, and the port with the scheme's default. */
export function endpointOf(url: URL): { readonly host: string; readonly port: number } {
  const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  return { host, port: url.port === '' ? (url.protocol === 'https:' ? httpsPort : 80) : Number(url.port) };
}

/** The URL parser has normalised all forms of an address: `127.1`, `0x7f.1`, `2130706433`. */
function parseTarget(text: string): URL {
  if (text.length > urlLengthMax || !URL.canParse(text)) throw refused('url must be an absolute URL.');
  // The URL parser repairs backslashes and white space, so two programs could read the same URL in different ways.
  if (/[\s\\]/.test(text)) throw refused('url must not contain spaces or backslashes.');
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refused('url must begin with https://.');
  if (
    url.username !== '' ||
    url.password !== '' ||
    text.slice(0, text.indexOf(url.pathname, 8)).includes('@')
  )
    throw refused('url must not contain a user name or a password.');
  if (url.hash !== '') throw refused('url must not have a fragment.');
  if (url.port === '0') throw refused('Port 0 is not allowed as a target.');
  return url;
}

function parseRule(text: string): Rule {
  const [, bracketed, plain, port] =
    /^(?:\[([^\]]+)\]|([^:]+|[^:]*:[^:]*:.*?))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = (bracketed ?? plain ?? '').toLowerCase();
  const rule = { port: port === undefined ? undefined : Number(port) };
  if (rule.port !== undefined && (rule.port < 1 || rule.port > 65_535)) throw noRule(text);
  const network = /^([^/]+)\/(\d{1,3})$/.exec(host);
  const address = network?.[1] ?? host;
  if (isIP(address) !== 0) {
    const list = new BlockList();
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    if (Number(network?.[2] ?? 0) > (family === 'ipv6' ? 128 : 32)) throw noRule(text);
    if (network === null) list.addAddress(address, family);
    else list.addSubnet(address, Number(network[2]), family);
    return {
      ...rule,
      matchesHost: () => false,
      matchesAddress: (found) => list.check(found, isIPv6(found) ? 'ipv6' : 'ipv4'),
    };
  }
  if (!/^(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(host)) {
    throw noRule(text);
  }
  const suffix = host.startsWith('*.') ? host.slice(1) : undefined;
  return {
    ...rule,
    matchesHost: (found) => (suffix === undefined ? found === host : found.endsWith(suffix)),
    matchesAddress: () => false,
  };
}

function noRule(text: string): RangeError {
  return new RangeError(`webhooks.allowTargets: ${text} is not a host, an address or a network.`);
}

function refused(detail: string): EverywireError {
  return new EverywireError('invalid', detail, { pointers: ['/url'] });
}
