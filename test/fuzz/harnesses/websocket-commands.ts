import assert from 'node:assert/strict';
import { okAnswer, refusedAnswer } from '@everywire/protocol/everywire-v1';
import { checkDraft } from '../../../packages/server/src/core/log/drafts.ts';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import { parseCommand } from '../../../packages/server/src/transports/websocket/commands.ts';
import type { Harness } from '../harness.ts';
import { takenOrRefused } from '../tools.ts';

const stamp = { id: '01JD0000000000000000000000', nowMs: 1_800_000_000_000, from: undefined };

export const harness: Harness = {
  name: 'websocket-commands',
  inputBytesMax: 400,
  seeds: [
    '{"id":1,"op":"subscribe","channel":"chat/**","after":"1k3f9q2.1a2b.9f3c0d4e5a6b7c8d"}',
    '{"id":2,"op":"publish","channel":"a","data":{"text":"hi"},"key":"k","event":"e","headers":{"h":"v"},"retain":true,"ttl":"5m"}',
    '{"id":"x","op":"publish","channel":"a","base64":"AAEC","type":"image/png"}',
    '{"id":-1.5e3,"op":"publish","channel":"a","data":"text","type":"text/plain"}',
    '{"id":3,"op":"unsubscribe","channel":"a"}',
    '{"id":4,"op":"auth","token":"t"}',
    '{"id":5,"op":"ping"}',
    '{"id":{},"op":"ping"}',
    '[]',
  ],
  dictionary: ['"since":"-5m"', '"base64":', '"type":', '"headers":', '"ttl":', '"__proto__":', 'null'],
  run: (input) => {
    const command = parseCommand(input, defaultLimits);
    // The answer is JSON with the same id, for any id.
    const answer = command.op === 'bad' ? refusedAnswer(command.id, command.error) : okAnswer(command.id);
    const given = (JSON.parse(answer) as { readonly id?: unknown }).id;
    if (command.op === 'bad') {
      assert.ok(command.error.code !== 'internal');
      return false;
    }
    assert.deepEqual(given, (JSON.parse(input.toString()) as { readonly id: unknown }).id);
    if (command.op === 'publish') takenOrRefused(() => checkDraft(command.draft, stamp, defaultLimits));
    return true;
  },
};
