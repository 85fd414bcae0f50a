import { describe, expect, it, vi } from 'vitest';
import { checkOptions } from '../src/options.ts';

describe('options of the adapter', () => {
  it('have defaults', () => {
    const { onProblem, ...options } = checkOptions({ url: 'https://everywire.example/base/' });
    expect(options).toEqual({
      url: 'https://everywire.example/base',
      token: undefined,
      prefix: 'socket.io',
      sendCursors: true,
      heartbeatEveryMs: 5_000,
      heartbeatTimeoutMs: 10_000,
    });
    const warn = vi.spyOn(console, 'warn').mockReturnValue();
    onProblem({ kind: 'gap', detail: 'Something is gone.' });
    expect(warn).toHaveBeenCalledWith('everywire adapter: gap: Something is gone.');
    warn.mockRestore();
  });

  it.each(['', 'nonsense', 'ws://localhost', 'file:///x'])('need a URL, not %s', (url) => {
    expect(() => checkOptions({ url })).toThrow(TypeError);
  });

  it.each(['', '$SYS', 'a+', 'a/#', 'a/', '/a', 'a\n', 'x'.repeat(64)])(
    'need a channel name, not %j',
    (prefix) => {
      expect(() => checkOptions({ url: 'http://localhost', prefix })).toThrow(TypeError);
    },
  );
});
