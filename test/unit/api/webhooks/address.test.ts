import assert from 'node:assert/strict'
import type { LookupAddress, LookupOptions } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { test } from 'node:test'
import { createAddressRule, guardLookup, isPublicAddress } from '../../../../services/api/webhooks/address.ts'

const notPublic = {
  'this network': ['0.0.0.0', '0.1.2.3', '::'],
  loopback: ['127.0.0.1', '127.255.255.254', '::1'],
  private: ['10.0.0.1', '10.255.255.255', '172.16.0.1', '172.31.255.255', '192.168.0.1', 'fc00::1', 'fd12:3456::1'],
  'link-local': ['169.254.0.1', '169.254.169.254', 'fe80::1', 'febf::1'],
  'of one network interface': ['2600::1%lo', 'fe80::1%eth0'],
  'site-local, of old': ['fec0::1'],
  'carrier-grade NAT': ['100.64.0.1', '100.100.100.200', '100.127.255.255'],
  'metadata over IPv6': ['fd00:ec2::254'],
  multicast: ['224.0.0.1', '239.255.255.255', 'ff02::1'],
  'reserved and broadcast': ['240.0.0.1', '255.255.255.255', '4000::1', '100::1'],
  documentation: ['192.0.2.1', '198.51.100.1', '203.0.113.1', '2001:db8::1', '3fff::1'],
  benchmarks: ['198.18.0.1', '198.19.255.255', '2001:2::1'],
  'IETF protocols': ['192.0.0.1', '192.0.0.170', '2001::1', '2001:10::1'],
  'mapped and compatible IPv4': [
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::ffff:8.8.8.8',
    '::127.0.0.1',
    '::ffff:0:10.0.0.1',
  ],
  NAT64: ['64:ff9b::7f00:1', '64:ff9b::808:808', '64:ff9b:1::1'],
  '6to4 and Teredo': ['2002:7f00:1::', '192.88.99.1', '2001:0:5ef5::1'],
  'no address at all': ['', 'localhost', 'example.com', '127.1', '2130706433', '1.2.3.4.5', '8.8.8.8/32'],
}

for (const [kind, addresses] of Object.entries(notPublic)) {
  test(`not public: ${kind}`, () => {
    assert.deepEqual(addresses.filter(isPublicAddress), [])
  })
}

test('public addresses, up to the edges of those that are not', () => {
  const addresses = [
    ...[
      '1.1.1.1',
      '8.8.8.8',
      '9.255.255.255',
      '11.0.0.0',
      '100.63.255.255',
      '100.128.0.0',
      '126.255.255.255',
      '128.0.0.0',
    ],
    ...['169.253.255.255', '169.255.0.0', '172.15.255.255', '172.32.0.0', '192.167.255.255', '192.169.0.0'],
    ...['198.17.255.255', '198.20.0.0', '223.255.255.255', '2600:1f18::1', '2001:4860:4860::8888', '2a00:1450::1'],
    ...['2001:200::1', '2003::1', '3ffe::1'],
  ]
  assert.deepEqual(
    addresses.filter((each) => !isPublicAddress(each)),
    [],
  )
})

test('what is allowed in so many words is reached, and nothing beside it', () => {
  const mayReach = createAddressRule(['10.1.0.0/16', '127.0.0.1', 'fd00:1::/32', '::1'])
  for (const address of ['10.1.2.3', '127.0.0.1', 'fd00:1::5', '::1', '8.8.8.8']) assert.ok(mayReach(address), address)
  for (const address of ['10.2.0.1', '127.0.0.2', 'fd00:2::5', '169.254.169.254', 'localhost', '']) {
    assert.ok(!mayReach(address), address)
  }
})

const found: LookupAddress[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '8.8.8.8', family: 4 },
  { address: '64:ff9b::808:808', family: 6 },
  { address: '2600::1', family: 6 },
]

test('a name resolves to its public addresses alone', async () => {
  const lookup = guardLookup(isPublicAddress, (_name, done) => done(null, found))
  assert.deepEqual(await ask(lookup, { all: true }), [null, [found[1], found[3]]])
  assert.deepEqual(await ask(lookup, {}), [null, '8.8.8.8', 4])
})

test('a name with no public address is refused, and one that is unknown is so still', async () => {
  const lookup = guardLookup(isPublicAddress, (_name, done) => done(null, found.slice(0, 1)))
  const [refusal] = (await ask(lookup, { all: true })) as [NodeJS.ErrnoException]
  assert.equal(refusal.code, 'EACCES')
  assert.match(refusal.message, /^some\.example is no public address: WEBHOOKS_ALLOW_PRIVATE/)
  const unknown = Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' })
  const [error] = await ask(
    guardLookup(isPublicAddress, (_name, done) => done(unknown)),
    { all: true },
  )
  assert.equal(error, unknown)
})

function ask(lookup: LookupFunction, options: LookupOptions): Promise<unknown[]> {
  return new Promise((resolve) => lookup('some.example', options, (...answer) => resolve(answer)))
}
