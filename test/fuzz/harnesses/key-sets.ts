import assert from 'node:assert/strict';
import { readKeySet } from '../../../packages/server/src/auth/tokens/key-set.ts';
import {
  algorithms,
  KeyError,
  readPublicKey,
  readSecret,
  type VerificationKey,
} from '../../../packages/server/src/auth/tokens/keys.ts';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import type { Harness } from '../harness.ts';
import { keySet } from '../minted-tokens.ts';

const [rsa, ec, ed] = keySet.keys.map((key) => JSON.stringify(key));

/** What an issuer's URL answers, and what an operator configures as a key. */
export const harness: Harness = {
  name: 'key-sets',
  inputBytesMax: 1_000,
  runsInCi: 1_500,
  seeds: [
    `{"keys":[${ec},${ed}]}`,
    `{"keys":[${rsa}]}`,
    `{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"AQAB","e":"AQAB"},null,5,${ed}]}`,
    '{"keys":{}}',
    '[]',
    rsa!,
    ec!,
    ed!,
    '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n',
    '-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----',
    'a shared secret of more than thirty-two bytes',
    'MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=',
  ],
  dictionary: [
    '"kty":',
    '"crv":',
    '"alg":',
    '"use":"sig"',
    '"key_ops":["verify"]',
    '"kid":',
    '"d":',
    'RSA',
    'OKP',
    'Ed25519',
    'P-256',
    'AQAB',
    '-----BEGIN ',
  ],
  run: (input) => {
    const text = input.toString();
    let taken = 0;
    const read = (make: () => readonly VerificationKey[]): void => {
      try {
        for (const { algorithm, key } of make()) {
          taken += 1;
          assert.ok(algorithms.includes(algorithm));
          assert.deepEqual(key.usages, ['verify']);
          assert.equal(key.extractable, false);
        }
      } catch (error) {
        if (!(error instanceof KeyError)) throw error;
        assert.match(error.message, /^[\x20-\x7e]+$/, 'what is said of a key has nothing of it');
      }
    };
    read(() => readKeySet(input, defaultLimits).keys.map(({ key }) => key));
    read(() => [readPublicKey(text)]);
    read(() => [readSecret(text)]);
    return taken > 0;
  },
};
