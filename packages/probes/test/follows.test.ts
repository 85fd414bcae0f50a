import { expect, test } from 'vitest';
import { Follows } from '../src/follows.ts';
import type { Queue } from '../src/queue.ts';
import type { Arrival } from '../src/session.ts';

const position = (cursor: string): Arrival => ({ kind: 'position', cursor });

/** Everything that a queue has, with why it ended. */
async function drain(queue: Queue<Arrival>): Promise<string[]> {
  const read: string[] = [];
  try {
    for await (const one of queue) read.push(one.kind === 'position' ? one.cursor : one.kind);
  } catch (error) {
    read.push((error as Error).message);
  }
  return read;
}

test('a single follower gets all messages, also those that its filter does not seem to match', async () => {
  const follows = new Follows();
  const queue = follows.begin('$share/group/a/*');
  follows.deliver('a/1', position('1'));
  follows.deliver('', position('2'));
  follows.end(new Error('over'));
  expect(await drain(queue)).toEqual(['1', '2', 'over']);
});

test('of several followers each gets the messages that match its filter', async () => {
  const follows = new Follows();
  const [one, all, group, server] = ['a/1', 'a/**', '$share/group/a/*', '$sys/**'].map((channel) =>
    follows.begin(channel),
  );
  follows.deliver('a/1', position('1'));
  follows.deliver('a/1/x', position('2'));
  follows.endOf('a/1', new Error('ended'));
  follows.end(new Error('over'));
  expect(await drain(one!)).toEqual(['1', 'ended']);
  expect(await drain(all!)).toEqual(['1', '2', 'over']);
  expect(await drain(group!)).toEqual(['1', 'over']);
  // A name of the server is for the server to match.
  expect(await drain(server!)).toEqual(['1', '2', 'over']);
});

test('a follower that begins after the end gets the end', async () => {
  const follows = new Follows();
  follows.end(new Error('over'));
  const late = follows.begin('a');
  expect(await drain(late)).toEqual(['over']);
  expect(follows.finish(late)).toBe(false);
});
