import { EverywireError, parseFilter, type Filter, checkText } from '@everywire/protocol';
import type { Limits } from '../limits.ts';

/** `$share/<group>/<filter>`, read. */
export interface GroupName {
  /** The one spelling: two names are of one group if these are equal. */
  readonly key: string;
  readonly filter: Filter;
}

const prefix = '$share/';

type NameLimits = Pick<Limits, 'nameBytesMax' | 'nameLevelsMax' | 'filterWildcardsMax'>;

export function isGroupName(text: string): boolean {
  return text.startsWith(prefix);
}

/**
 * The one spelling of what a subscription is to, a filter or a group: two are the same if these are equal.
 * @throws EverywireError `bad_name`
 */
export function spellingOf(text: string, limits: NameLimits): string {
  return isGroupName(text) ? prefix + parseGroupName(text, limits).key : parseFilter(text, limits).text;
}

/**
 * Reads the name of a group (MQTT 5 §4.8.2): at least one character without `/ + # *`, then a filter, which counts its
 * bytes and levels by itself. One filter read by two groups, or two filters by one name, are two groups.
 * @throws EverywireError `bad_name`
 */
export function parseGroupName(text: string, limits: NameLimits): GroupName {
  const end = text.indexOf('/', prefix.length);
  const group = end < 0 ? '' : text.slice(prefix.length, end);
  if (!isGroupName(text) || group === '' || /[+#*]/.test(group)) {
    throw new EverywireError(
      'bad_name',
      'A shared subscription must have the form $share/<group>/<filter>; the group must not contain / + # or *.',
    );
  }
  checkText(group, 'filter', limits);
  const filter = parseFilter(text.slice(end + 1), limits);
  return { key: `${group}/${filter.text}`, filter };
}
