import dns, { type LookupAddress } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'

/** IANA's special-purpose registry for IPv4, and multicast and what is reserved. */
const special4 = blockList(
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 ' +
    '192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 ' +
    '203.0.113.0/24 224.0.0.0/4 240.0.0.0/4',
)
/**
 * All but 2000::/3, the global unicast addresses: so mapped IPv4, NAT64, unique local, link-local and multicast. Of those the
 * special ones: Teredo and its neighbours, documentation, 6to4.
 */
const special6 = blockList('::/3 4000::/2 8000::/1 2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20')

/** Whether an address is one of the public internet's; what is no address is not, and what names a network interface neither. */
export function isPublicAddress(address: string): boolean {
  const family = address.includes('%') ? 0 : isIP(address)
  return family === 4 ? !special4.check(address) : family === 6 && !special6.check(address, 'ipv6')
}

/** `networks`: addresses or networks that are reached though they are not public. */
export function createAddressRule(networks: readonly string[]) {
  const allowed = blockList(networks.join(' '))
  return (address: string): boolean =>
    isPublicAddress(address) || (isIP(address) > 0 && allowed.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4'))
}

/**
 * Resolves names for a connection, which then has none but the addresses given here: what the name resolves to a moment
 * later does not matter.
 */
export function guardLookup(mayReach: (address: string) => boolean, lookup = resolve): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, (error, found = []) => {
      const addresses = found.filter(({ address }) => mayReach(address))
      const [first] = addresses
      if (error || !first) return callback(error ?? unreachable(hostname), '')
      if (options.all) callback(null, addresses)
      else callback(null, first.address, first.family)
    })
  }
}

/** Also for an address that stands in a URL itself: that one is never looked up. */
export function unreachable(hostname: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${hostname} is no public address: WEBHOOKS_ALLOW_PRIVATE does not name it`), {
    code: 'EACCES',
  })
}

type Found = (error: NodeJS.ErrnoException | null, addresses?: LookupAddress[]) => void

function resolve(hostname: string, found: Found): void {
  dns.lookup(hostname, { all: true }, found)
}

function blockList(networks: string): BlockList {
  const list = new BlockList()
  for (const network of networks.split(' ').filter(Boolean)) {
    const [address = '', prefix] = network.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (prefix === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(prefix), family)
  }
  return list
}
