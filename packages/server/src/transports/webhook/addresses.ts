import { BlockList, isIPv6 } from 'node:net';

/**
 * The addresses that a webhook may reach only if an operator allows them: all outside the public Internet (the
 * special-purpose registries of IANA: RFC 6890 and its updates). An attacker with the right to register a URL must not
 * be able to make this server call its own network (T40).
 */
const blockedNetworks: readonly (readonly [
  address: string,
  prefixLength: number,
  family: 'ipv4' | 'ipv6',
])[] = [
  ['0.0.0.0', 8, 'ipv4'], // this host
  ['10.0.0.0', 8, 'ipv4'], // private
  ['100.64.0.0', 10, 'ipv4'], // shared by carriers
  ['127.0.0.0', 8, 'ipv4'], // loopback
  ['169.254.0.0', 16, 'ipv4'], // link-local, and the metadata of clouds
  ['172.16.0.0', 12, 'ipv4'], // private
  ['192.0.0.0', 24, 'ipv4'], // protocol assignments
  ['192.0.2.0', 24, 'ipv4'], // documentation
  ['192.31.196.0', 24, 'ipv4'], // AS112
  ['192.52.193.0', 24, 'ipv4'], // AMT
  ['192.88.99.0', 24, 'ipv4'], // 6to4 relays
  ['192.168.0.0', 16, 'ipv4'], // private
  ['192.175.48.0', 24, 'ipv4'], // AS112
  ['198.18.0.0', 15, 'ipv4'], // benchmarks
  ['198.51.100.0', 24, 'ipv4'], // documentation
  ['203.0.113.0', 24, 'ipv4'], // documentation
  ['224.0.0.0', 4, 'ipv4'], // multicast
  ['240.0.0.0', 4, 'ipv4'], // reserved, and broadcast
  ['2001::', 23, 'ipv6'], // protocol assignments: Teredo, ORCHID, benchmarks
  ['2001:db8::', 32, 'ipv6'], // documentation
  ['2002::', 16, 'ipv6'], // 6to4: an IPv4 address inside
  ['3fff::', 20, 'ipv6'], // documentation
];

const blocked = new BlockList();
for (const [address, prefixLength, family] of blockedNetworks)
  blocked.addSubnet(address, prefixLength, family);

/** The only public part of IPv6 (RFC 4291 §2.4). An address that embeds an IPv4 address is checked as that IPv4 address. */
const maybePublic = new BlockList();
maybePublic.addSubnet('2000::', 3, 'ipv6');
maybePublic.addSubnet('::ffff:0:0', 96, 'ipv6');

/** Whether `address`, from the resolver or from a URL, is outside the public Internet. */
export function isBlockedAddress(address: string): boolean {
  // BlockList treats ::ffff:a.b.c.d as a.b.c.d. Only local addresses have a zone (fe80::1%eth0).
  const at = address.indexOf('%');
  const plain = at < 0 ? address : address.slice(0, at);
  if (!isIPv6(plain)) return blocked.check(plain, 'ipv4');
  return !maybePublic.check(plain, 'ipv6') || blocked.check(plain, 'ipv6');
}
