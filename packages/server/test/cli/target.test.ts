import { describe, expect, test } from 'vitest';
import { CommandError } from '../../src/cli/exit.ts';
import { encodeChannel } from '@everywire/probes';
import { parseTarget } from '../../src/cli/target.ts';

test.each([
  ['http://localhost:8080/a', 'poll', false, 'localhost', 8080],
  ['https://h/a', 'poll', true, 'h', 443],
  ['poll+http://h/a', 'poll', false, 'h', 80],
  ['longpoll+http://h:1/a', 'longpoll', false, 'h', 1],
  ['longpoll+https://h/a', 'longpoll', true, 'h', 443],
  ['stream+http://h/a', 'stream', false, 'h', 80],
  ['sse+http://[::1]:8080/a', 'sse', false, '[::1]', 8080],
  ['SSE+HTTP://h/a', 'sse', false, 'h', 80],
  ['ws://h/a', 'websocket', false, 'h', 80],
  ['wss://h/a', 'websocket', true, 'h', 443],
  ['http://h:80/a', 'poll', false, 'h', 80],
  ['sio+http://h/a', 'socketio', false, 'h', 80],
  ['stomp://h/a', 'stomp', false, 'h', 61_613],
  ['stomps://h/a', 'stomp', true, 'h', 61_614],
  ['stomp+ws://h/a', 'stomp', false, 'h', 80],
  ['stomp://h:80/a', 'stomp', false, 'h', 80],
  ['mqtt://h/a', 'mqtt', false, 'h', 1883],
  ['mqtts://[::1]/a', 'mqtt', true, '[::1]', 8883],
  ['mqtt+wss://h/a', 'mqtt', true, 'h', 443],
])('%s is %s', (url, wire, isSecure, host, port) => {
  expect(parseTarget(url)).toMatchObject({ wire, isSecure, host, port, channel: 'a' });
});

describe('the path is the channel', () => {
  test.each([
    ['chat/room-1', 'chat/room-1'],
    ['chat/**', 'chat/**'],
    ['chat/+/x', 'chat/+/x'],
    ['chat/#', 'chat/#'],
    ['/a', '/a'],
    ['a/', 'a/'],
    ['a//b', 'a//b'],
    ['a/../b', 'a/../b'],
    ['%EB%B0%A9/1%2F2%3F', '방/1/2?'],
    ['방', '방'],
  ])('%s', (path, channel) => {
    expect(parseTarget(`http://h/${path}`).channel).toBe(channel);
  });

  test('and is encoded level by level for the request', () => {
    expect(encodeChannel('방/a b?/*/**')).toBe('%EB%B0%A9/a%20b%3F/*/**');
  });
});

test.each([
  ['localhost:8080/a', 'is not a URL'],
  ['', 'is not a URL'],
  ['http://h', 'names no channel'],
  ['http://h/', 'names no channel'],
  ['http://h/a?after=x', '--after'],
  ['http://h:99999/a', 'is not a host'],
  ['http:///a', 'is not a host'],
  ['http://me:hunter2@h/a', 'must not contain a user or password'],
  ['http://h/%E0%A4', 'percent-encoded'],
  ['ftp://h/a', 'ftp: is not a scheme of Everywire. The schemes are http:'],
])('%s is a usage error', (url, words) => {
  const refusal = expect(() => parseTarget(url));
  refusal.toThrow(CommandError);
  refusal.toThrow(words);
});
