import { BlockList, isIP } from 'node:net';

/** Whether an address is one of the operator's own proxies. */
export type IsProxy = (address: string | undefined) => boolean;

/** @param entries addresses and networks, such as `10.0.0.0/8`. @throws RangeError that names the invalid entry */
export function trustedProxies(entries: readonly string[]): IsProxy {
  // The fast path, since every request calls it.
  if (entries.length === 0) return () => false;
  const proxies = new BlockList();
  for (const entry of entries) {
    const [address = '', bits, more] = entry.split('/');
    const kind = isIP(address);
    const length = bits === undefined ? undefined : Number(bits);
    const isNetwork = bits === undefined || (/^\d{1,3}$/.test(bits) && length! <= (kind === 4 ? 32 : 128));
    if (kind === 0 || more !== undefined || !isNetwork)
      throw new RangeError(`"${entry}" is not an address or network such as 10.0.0.0/8.`);
    const family = kind === 4 ? 'ipv4' : 'ipv6';
    if (length === undefined) proxies.addAddress(address, family);
    else proxies.addSubnet(address, length, family);
  }
  return (address) => {
    if (address === undefined) return false;
    const kind = isIP(address);
    // BlockList knows that ::ffff:a.b.c.d is a.b.c.d.
    return kind !== 0 && proxies.check(address, kind === 4 ? 'ipv4' : 'ipv6');
  };
}
