/** Rules of names and filters (MQTT 5 and 3.1.1 §4.7, MQTT 5 §4.8.2). The hub checks the names of channels. */

const sharePrefix = '$share/';

/** Whether it has a wildcard, which a topic name must not have [MQTT-3.3.2-2]. */
export function hasWildcard(topic: string): boolean {
  return topic.includes('+') || topic.includes('#');
}

/** The rule of §4.7 that a filter breaks, without a check of `$share/…`. For an empty filter, the whole packet is refused. */
export function brokenFilterRule(filter: string): 'empty' | 'multi-level' | 'single-level' | undefined {
  if (filter === '') return 'empty';
  if (!hasWildcard(filter)) return undefined;
  const levels = filter.split('/');
  for (const [index, level] of levels.entries()) {
    if (level.includes('#') && (level !== '#' || index !== levels.length - 1)) return 'multi-level';
    if (level.includes('+') && level !== '+') return 'single-level';
  }
  return undefined;
}

export function isShared(filter: string): boolean {
  return filter.startsWith(sharePrefix);
}

/** Whether it is `$share/<name>/<filter>`, with a name without wildcards and a filter [MQTT-4.8.2-1, -2]. */
export function isWellFormedShare(filter: string): boolean {
  const end = filter.indexOf('/', sharePrefix.length);
  if (end <= sharePrefix.length) return false;
  return (
    !hasWildcard(filter.slice(sharePrefix.length, end)) &&
    brokenFilterRule(filter.slice(end + 1)) === undefined
  );
}
