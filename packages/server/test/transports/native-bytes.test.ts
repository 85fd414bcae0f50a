import { expect, test } from 'vitest';
import { checkNativeBytes, nativeBytes } from '../../src/transports/index.ts';

test('the native bytes are those that are stored, and no two transports have the same', () => {
  expect(nativeBytes).toEqual({ mqtt: 1, stomp: 2, socketio: 3, webhook: 4 });
  checkNativeBytes(nativeBytes);
  expect(() => checkNativeBytes({ ...nativeBytes, another: 2 })).toThrow(
    'another and stomp both have 2 as native byte.',
  );
});
