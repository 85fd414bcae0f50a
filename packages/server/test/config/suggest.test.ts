import { expect, test } from 'vitest';
import { nearest } from '../../src/config/suggest.ts';

const known = ['port', 'host', 'store', 'durability', 'namespaces'];

test.each([
  ['prot', 'port'],
  ['prt', 'port'],
  ['PORT', 'port'],
  ['stroe', 'store'],
  ['durabilty', 'durability'],
  ['namespace', 'namespaces'],
])('%s was meant to be %s', (word, meant) => {
  expect(nearest(word, known)).toBe(meant);
});

test.each(['x', 'zzzz', 'retention', ''])('%s was meant to be none of them', (word) => {
  expect(nearest(word, known)).toBeUndefined();
});
