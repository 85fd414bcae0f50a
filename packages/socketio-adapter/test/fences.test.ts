import { expect, it } from 'vitest';
import { Fences, type Fence } from '../src/fences.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('publishes the fences of one turn as one message, and calls each when it arrives', async () => {
  const published: Fence[] = [];
  const fences = new Fences((fence) => published.push(fence));
  const passed: string[] = [];
  fences.raise((cursor) => passed.push(`a ${cursor}`));
  fences.raise((cursor) => passed.push(`b ${cursor}`), 'session');
  await turn();
  fences.raise((cursor) => passed.push(`c ${cursor}`));
  await turn();
  expect(published.map(({ sessions }) => sessions)).toEqual([['session'], []]);
  fences.pass({ fence: 'of another process', sessions: [] }, '0');
  expect(passed).toEqual([]);
  fences.pass(published[1]!, '1');
  fences.pass(published[0]!, '2');
  fences.pass(published[0]!, '3');
  expect(passed).toEqual(['c 1', 'a 2', 'b 2']);
});
