import assert from 'node:assert/strict';
import { FilterTrie, literalPrefix, matches, parseFilter, checkChannel } from '@everywire/protocol';
import { isGroupName, parseGroupName, spellingOf } from '../../../packages/server/src/core/groups/name.ts';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import type { Harness } from '../harness.ts';
import { takenOrRefused } from '../tools.ts';

/** A filter or group, a line feed, a channel. */
export const harness: Harness = {
  name: 'channel-names',
  inputBytesMax: 600,
  seeds: [
    'a/b\na/b',
    'chat/**\nchat/room-1',
    'a/+/c/#\na/b/c/d/e',
    '*/*/*/*\na/b/c/d',
    '**\n$SYS/x',
    '$share/g/a/*\na/b',
    '$share/g/$SYS/#\na',
    '/a//\n/a//',
    'a/**/b\na',
    '+/+/+/+/+\na/b/c/d/e',
    `${'a/'.repeat(16)}\n${'a/'.repeat(15)}a`,
    `${'é'.repeat(128)}\n${'x'.repeat(255)}`,
    'a\u0085b\na\u2028b',
  ],
  dictionary: ['$share/', '$SYS/', '**', '+/', '#', '/', '$', '*', '\n'],
  run: (input) => {
    const [wanted = '', name = ''] = input.toString().split('\n');
    const channel = takenOrRefused(() => checkChannel(name, defaultLimits));
    if (channel !== undefined) {
      assert.equal(channel, name, 'a name is never changed');
      assert.equal(parseFilter(name, defaultLimits).channel, name, 'a channel is a filter of one');
    }
    const filter = takenOrRefused(() =>
      isGroupName(wanted) ? parseGroupName(wanted, defaultLimits).filter : parseFilter(wanted, defaultLimits),
    );
    if (filter === undefined) return false;
    const spelling = spellingOf(wanted, defaultLimits);
    assert.equal(spellingOf(spelling, defaultLimits), spelling, 'there is one spelling');
    assert.ok(filter.levels.length <= defaultLimits.nameLevelsMax);
    if (channel === undefined) return true;

    const isMatch = matches(filter, channel);
    assert.equal(
      isMatch,
      matchesByLevels(filter.levels, channel.split('/')),
      'matches as the reference does',
    );
    const trie = new FilterTrie<string>();
    trie.add(filter, 'found');
    const found: string[] = [];
    trie.match(channel, (value) => found.push(value));
    assert.deepEqual(found, isMatch ? ['found'] : [], 'the trie finds the same');
    trie.remove(filter, 'found');
    assert.equal(trie.size, 0);
    if (isMatch) assert.ok(channel.startsWith(literalPrefix(filter)), 'a scan would begin early enough');
    return true;
  },
};

/** What INTERFACES says of filters, without any cleverness. */
function matchesByLevels(filter: readonly string[], names: readonly string[]): boolean {
  const [level, ...levels] = filter;
  if (level === undefined) return names.length === 0;
  if (level === '**') return true;
  const [name, ...rest] = names;
  return name !== undefined && (level === '*' || level === name) && matchesByLevels(levels, rest);
}
