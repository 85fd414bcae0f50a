import assert from 'node:assert/strict';
import { isIP, isIPv4 } from 'node:net';
import { isBlockedAddress } from '../../../packages/server/src/transports/webhook/addresses.ts';
import {
  createTargetRules,
  endpointOf,
  type TargetRules,
} from '../../../packages/server/src/transports/webhook/targets.ts';
import type { Harness } from '../harness.ts';
import { takenOrRefused } from '../tools.ts';

/** Lines: a URL, then perhaps what the operator allows. */
export const harness: Harness = {
  name: 'webhook-targets',
  inputBytesMax: 200,
  seeds: [
    'https://example.com/hook?x=1',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f.1/',
    'https://[::ffff:7f00:1]/',
    'https://[64:ff9b::7f00:1]:8443/',
    'https://169.254.169.254/latest',
    'https://metadata.google.internal/',
    'https://user@example.com/',
    'https://example.com\\@127.0.0.1/',
    'https://１２７.0.0.1/',
    'https://localhost./',
    'http://10.0.0.5:8080/x\n10.0.0.0/8:8080',
    'http://hook.test/x\n*.test\nhost:80\n[fd00::]/8\n::1\n2001:db8::/32',
    'https://example.com:0/',
    'https://example.com:65536/',
    'https://[fe80::1%25eth0]/',
    'https://a/#b',
  ],
  dictionary: [
    'https://',
    'http://',
    '127.0.0.1',
    '[::1]',
    '@',
    '\\',
    '%2e',
    '。',
    '%00',
    '::ffff:',
    '0x7f',
    '017700000001',
    '\n',
    ':443',
    ':22',
  ],
  run: (input) => {
    const [text = '', ...allowed] = input.toString().split('\n');
    const nothing = createTargetRules([]);
    const url = takenOrRefused(() => nothing.check(text));
    if (url !== undefined) checkPublic(nothing, url);
    const rules = rulesOf(allowed);
    if (rules === undefined) return url !== undefined;
    const named = takenOrRefused(() => rules.check(text));
    if (url !== undefined) assert.ok(named !== undefined, 'what is allowed is allowed in addition');
    return named !== undefined;
  },
};

/** Written independently of the rules: every allowed target that the operator did not list is public and uses TLS. */
function checkPublic(rules: TargetRules, url: URL): void {
  assert.equal(url.protocol, 'https:');
  assert.equal(url.username + url.password + url.hash, '');
  const { host, port } = endpointOf(url);
  assert.ok(port === 443 || (port >= 1_024 && port <= 65_535));
  assert.doesNotMatch(host, /(^|\.)localhost$/i);
  if (isIP(host) === 0) {
    assert.ok(!rules.mayConnect(host, port, '127.0.0.1'), 'a name may not lead to this machine');
    assert.ok(!rules.mayConnect(host, port, '::ffff:169.254.169.254'));
    return;
  }
  assert.ok(!isBlockedAddress(host));
  assert.ok(!isIPv4(host) || isPublicIpv4(host), `${host} is not public`);
  assert.doesNotMatch(host, /^(::(?!ffff:)|[4-9a-f]...:|[01]...:|2002:)/i);
}

function isPublicIpv4(address: string): boolean {
  const [a = 0, b = 0] = address.split('.').map(Number);
  return !(
    a === 0 ||
    a === 10 ||
    a === 127 ||
    a >= 224 ||
    (a === 100 && b >= 64 && b < 128) ||
    (a === 169 && b === 254) ||
    (a === 172 && b >= 16 && b < 32) ||
    (a === 192 && b === 168) ||
    (a === 198 && (b === 18 || b === 19))
  );
}

/** An invalid entry is an operator's mistake, and the error names it. */
function rulesOf(allowed: readonly string[]): TargetRules | undefined {
  try {
    return createTargetRules(allowed);
  } catch (error) {
    if (error instanceof RangeError && error.message.startsWith('webhooks.allowTargets: ')) return undefined;
    throw error;
  }
}
