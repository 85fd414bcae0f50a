import { checkChannel } from '@everywire/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultLimits } from '../../server/src/config/limits.ts';
import { ChannelNames, hashOf } from '../src/names.ts';

const names = new ChannelNames('socket.io');

describe('channels of Socket.IO rooms', () => {
  it.each([
    ['/', 'room-1', 'socket.io/_/room-1'],
    ['/chat', 'room-1', 'socket.io/chat/room-1'],
    ['/chat', 'org/7', 'socket.io/chat/org/7'],
    ['/a/b', 'x', 'socket.io/a%2Fb/x'],
    ['/_', 'x', 'socket.io/%5F/x'],
    ['/', '100%', 'socket.io/_/100%25'],
    ['/', 'a+b#c*', 'socket.io/_/a%2Bb%23c%2A'],
    ['/', '~cluster', 'socket.io/_/%7Ecluster'],
    ['/', '__proto__', 'socket.io/_/__proto__'],
    ['/', '방', 'socket.io/_/방'],
  ])('%s and %s are %s', (ioNamespace, room, channel) => {
    const namespace = names.namespace(ioNamespace);
    expect(names.room(namespace, room)).toBe(channel);
    expect(names.place(channel)).toEqual({ kind: 'room', namespace, room });
  });

  it('are names that the server takes, and lead back to the room', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 100 }),
        fc.string({ unit: 'binary' }),
        (io, room) => {
          const namespace = names.namespace(`/${io}`);
          const channel = names.room(namespace, room);
          for (const one of [names.all(namespace), names.packets(namespace), names.cluster(namespace)]) {
            expect(checkChannel(one, defaultLimits)).toBe(one);
          }
          if (channel === undefined) return;
          expect(checkChannel(channel, defaultLimits)).toBe(channel);
          expect(names.place(channel)).toEqual({ kind: 'room', namespace, room });
        },
      ),
    );
  });

  it('keep namespaces apart', () => {
    const ioNamespaces = [
      '/',
      '/_',
      '/%5F',
      '/a/b',
      '/a%2Fb',
      '/~',
      '/%7E',
      `/${'x'.repeat(200)}`,
      `/${'y'.repeat(200)}`,
    ];
    expect(new Set(ioNamespaces.map((one) => names.namespace(one))).size).toBe(ioNamespaces.length);
  });

  it('do not exist for rooms that no channel can be named after', () => {
    for (const room of ['', 'x'.repeat(300), '/'.repeat(20), '\ud800', 7, undefined]) {
      expect(names.room('_', room)).toBeUndefined();
    }
  });

  it('leave the own channels of the adapter to it', () => {
    expect(names.place('socket.io/_')).toEqual({ kind: 'all', namespace: '_' });
    expect(names.place('socket.io/_/~cluster')).toEqual({ kind: 'cluster', namespace: '_' });
    expect(names.place('socket.io/_/~packets')).toEqual({ kind: 'packets', namespace: '_' });
    expect(names.place('socket.io/_/~other')).toBeUndefined();
    expect(names.place('socket.io/_/')).toBeUndefined();
    expect(names.place('other/_/room')).toBeUndefined();
  });

  it('take a stray percent sign of another publisher for itself', () => {
    expect(names.place('socket.io/_/50%')).toEqual({ kind: 'room', namespace: '_', room: '50%' });
  });

  it('do not show the id with which a session can be taken', () => {
    expect(names.session('_', hashOf('secret'))).not.toContain('secret');
  });
});
