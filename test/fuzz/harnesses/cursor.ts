import assert from 'node:assert/strict';
import { cursorLengthMax, formatCursor, parseCursor } from '@everywire/protocol';
import type { Harness } from '../harness.ts';

export const harness: Harness = {
  name: 'cursor',
  inputBytesMax: 64,
  seeds: [
    '1k3f9q2.1a2b.9f3c0d4e5a6b7c8d',
    '1000000.0.0000000000000000',
    '1zzzzzz.2gosa7pa2gv.ffffffffffffffff',
    '1000000.01.0000000000000000',
    '',
    '2k3f9q2.1a2b.9f3c0d4e5a6b7c8d',
  ],
  run: (input) => {
    // Latin-1 keeps one spelling for each input, of which some are none in ASCII.
    const text = input.toString('latin1');
    const position = parseCursor(text);
    if (position === undefined) return false;
    assert.equal(formatCursor(position), text, 'there is one spelling of a place');
    assert.ok(text.length <= cursorLengthMax && Number.isSafeInteger(position.seq));
    return true;
  },
};
