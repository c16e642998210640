// Whom failed logins are counted against: one address, however it is spelt, or the network of an IPv6 one.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { clientAddress } from '../../lib/http/client-address.js';

const CASES: readonly (readonly [ip: string, expected: string])[] = [
  ['127.0.0.1', '127.0.0.1'],
  ['203.0.113.9', '203.0.113.9'],
  ['::ffff:203.0.113.9', '203.0.113.9'],
  ['::FFFF:203.0.113.9', '203.0.113.9'],
  ['::ffff:cb00:7109', '203.0.113.9'],
  ['0:0:0:0:0:ffff:cb00:7109', '203.0.113.9'],
  ['::1', '0:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:DB8:1:2::ffff', '2001:db8:1:2::/64'],
  ['2001:0db8:0001:0002::', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:db8:0:0:0:0:0:1', '2001:db8:0:0::/64'],
  ['2001:db8::5:6:7:8:9', '2001:db8:0:5::/64'],
  ['2001:db8:0:5:6:7:8:9', '2001:db8:0:5::/64'],
  ['1:2:3::', '1:2:3:0::/64'],
  ['::5:6:7:8', '0:0:0:0::/64'],
  ['::2:3:4:5:6:7:8', '0:2:3:4::/64'],
  ['::2:3:4:5:6:1.2.3.4', '0:2:3:4::/64'],
  ['64:ff9b::203.0.113.9', '64:ff9b:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['fe80::1', 'fe80:0:0:0::/64'],
];

for (const [ip, expected] of CASES) {
  test(`${ip} is ${expected}`, () => assert.equal(clientAddress({ ip }), expected));
}

test('what is no address, such as what a proxy says that does not know, stays as it is', () => {
  for (const ip of ['', 'unknown', '_hidden', '1.2.3', '::1::', '[::1]', '2001:db8::g', '2001:db8::1/64']) {
    assert.equal(clientAddress({ ip }), ip);
  }
});

test.run();
