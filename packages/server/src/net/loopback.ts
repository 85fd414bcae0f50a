import { BlockList, isIP } from 'node:net';

const addresses = new BlockList();
addresses.addSubnet('127.0.0.0', 8, 'ipv4');
addresses.addAddress('::1', 'ipv6');

/** Whether an address that a server listens at, or a host name of that kind, can be reached from this machine alone. */
export function isLoopback(host: string): boolean {
  const family = isIP(host);
  if (family === 0) return host === 'localhost';
  return addresses.check(host, family === 6 ? 'ipv6' : 'ipv4');
}

/** Whether a host of an address says loopback by itself: never a name that DNS resolves (RFC 6761 §6.3). */
export function isLoopbackName(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$|\.$/, '$1');
  return isLoopback(name) || name.endsWith('.localhost');
}
