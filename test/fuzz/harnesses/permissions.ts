import assert from 'node:assert/strict';
import { contains, matches, overlaps, parseFilter, type Filter, checkChannel } from '@everywire/protocol';
import { compileRules } from '../../../packages/server/src/auth/permissions.ts';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import type { Harness } from '../harness.ts';
import { takenOrRefused } from '../tools.ts';

/** A channel, a filter, then the rules of a token, a line each. */
export const harness: Harness = {
  name: 'permissions',
  inputBytesMax: 200,
  seeds: [
    'chat/a\nchat/*\nchat/**\n!chat/secret',
    'a/b/c\na/**\n*/b/**\n!a/*/c',
    'a\na\n**\n!*',
    'x/y\n*/y\nx/*\n!x/y\n!**',
    '/a//\n/+//\n/#',
    'a/b\na/b\n',
  ],
  dictionary: ['**', '*', '/', '!', '\n', '#', '+', '!**', '*/', '/**'],
  run: (input) => {
    const [name = '', wanted = '', ...texts] = input.toString().split('\n');
    const channel = takenOrRefused(() => checkChannel(name, defaultLimits));
    const filter = takenOrRefused(() => parseFilter(wanted, defaultLimits));
    if (channel === undefined || filter === undefined) return false;
    const rules = compileRules(texts, defaultLimits);
    const filters = texts.map((text) =>
      takenOrRefused(() => parseFilter(text.replace(/^!/, ''), defaultLimits)),
    );
    const isReadable = filters.every((one) => one !== undefined);
    const isAllowed = isReadable && isAllowedBy(texts, filters, channel);
    assert.equal(rules.allows(channel), isAllowed, 'one rule allows it, and none denies it');

    const passes = rules.deliverable(filter);
    if (matches(filter, channel)) {
      assert.equal(
        passes === undefined || passes(channel),
        isAllowed,
        'what is delivered is what is allowed',
      );
    }
    if (!isReadable) assert.ok(!rules.grants(filter), 'a list that cannot be read grants nothing');
    for (const one of filters as readonly (Filter | undefined)[]) {
      if (one === undefined || !matches(filter, channel)) continue;
      const isBoth = matches(one, channel);
      if (isBoth) assert.ok(overlaps(one, filter) && overlaps(filter, one), 'they have this name in common');
      else assert.ok(!contains(one, filter), 'what contains a filter matches all that it matches');
      if (contains(one, filter) && contains(filter, one)) assert.equal(isBoth, true);
    }
    return true;
  },
};

function isAllowedBy(texts: readonly string[], filters: readonly Filter[], channel: string): boolean {
  const hits = texts.filter((_, at) => matches(filters[at]!, channel));
  return hits.length > 0 && !hits.some((text) => text.startsWith('!'));
}
