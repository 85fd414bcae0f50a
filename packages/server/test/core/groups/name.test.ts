import { describe, expect, it } from 'vitest';
import { isGroupName, parseGroupName, spellingOf } from '../../../src/core/groups/name.ts';
import { defaultLimits } from '../../../src/config/limits.ts';

describe('names of groups', () => {
  it.each([
    ['$share/g/a', 'g/a'],
    ['$share/g/a/+/#', 'g/a/*/**'],
    ['$share/g//a', 'g//a'],
    ['$share/그룹/**', '그룹/**'],
    ['$share/$x/a', '$x/a'],
  ])('%s is %s', (text, key) => {
    expect(spellingOf(text, defaultLimits)).toBe(`$share/${key}`);
    expect(isGroupName(text)).toBe(true);
    expect(parseGroupName(text, defaultLimits).key).toBe(key);
  });

  it.each([
    '$share/',
    '$share/g',
    '$share/g/',
    '$share//a',
    '$share/g+/a',
    '$share/#/a',
    '$share/*/a',
    '$share/g/$SYS/#',
    '$share/g/$share/g/a',
    '$share/g\u0000/a',
    '$share/g/a+',
    `$share/${'g'.repeat(256)}/a`,
    `$share/g/${'a'.repeat(256)}`,
    'share/g/a',
  ])('%s is not a name', (text) => {
    expect(() => parseGroupName(text, defaultLimits)).toThrow(expect.objectContaining({ code: 'bad_name' }));
  });

  it('leaves the filter all its bytes', () => {
    const { filter } = parseGroupName(`$share/${'g'.repeat(200)}/${'a'.repeat(255)}`, defaultLimits);
    expect(filter.channel).toBe('a'.repeat(255));
  });
});
