import assert from 'node:assert/strict';
import { checkSecret, signatureOf } from '@everywire/wires/webhook';
import { challengeBody, hasChallenge } from '../../../packages/server/src/transports/webhook/format.ts';
import type { Harness } from '../harness.ts';
import { takenOrRefused } from '../tools.ts';

const challenge = 'c4a9f1';
const body = Buffer.from('{}');

/** What receivers answer to a challenge, and what they choose as a secret. */
export const harness: Harness = {
  name: 'webhook-answers',
  inputBytesMax: 200,
  seeds: [
    challenge,
    ` ${challenge}\n`,
    `{"challenge":"${challenge}"}`,
    '{"challenge":null}',
    'null',
    '"c4a9f1"',
    challengeBody('id', 0, challenge),
    'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    'whsec_short',
    `whsec_${'A'.repeat(90)}`,
  ],
  run: (input) => {
    const text = input.toString();
    const isAnswered = hasChallenge(text, challenge);
    if (isAnswered)
      assert.ok(text.includes(challenge) || text.includes('\\u'), 'nobody is taken for willing by chance');
    const secret = takenOrRefused(() => checkSecret(text));
    if (secret === undefined) return isAnswered;
    assert.equal(secret, text);
    const key = Buffer.from(text.slice('whsec_'.length), 'base64');
    assert.ok(key.length >= 24 && key.length <= 64);
    assert.match(signatureOf({ id: 'm', timestampSeconds: 1, body }, [secret]), /^v1,[A-Za-z0-9+/]{43}=$/);
    return true;
  },
};
