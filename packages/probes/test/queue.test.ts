import { expect, test } from 'vitest';
import { Queue } from '../src/queue.ts';

const soon = (): Promise<string> => new Promise((resolve) => setImmediate(() => resolve('nothing')));

test('a waiting reader gets a pushed item at any moment of its check', async () => {
  for (let microtasks = 0; microtasks < 12; microtasks += 1) {
    const queue = new Queue<number>();
    const next = queue[Symbol.asyncIterator]().next();
    for (let at = 0; at < microtasks; at += 1) await Promise.resolve();
    queue.push(microtasks);
    expect(await Promise.race([next, soon()])).toEqual({ done: false, value: microtasks });
  }
});

test('items from before the end are read first, and the first reason counts', async () => {
  const queue = new Queue<string>();
  queue.push('a');
  queue.push('b');
  queue.end(new Error('first'));
  queue.end(new Error('second'));
  const read: string[] = [];
  await expect(
    (async () => {
      for await (const one of queue) read.push(one);
    })(),
  ).rejects.toThrow('first');
  expect(read).toEqual(['a', 'b']);
});

test('the end wakes a reader that waits', async () => {
  const queue = new Queue<string>();
  const next = queue[Symbol.asyncIterator]().next();
  await soon();
  queue.end(new Error('over'));
  await expect(next).rejects.toThrow('over');
});
