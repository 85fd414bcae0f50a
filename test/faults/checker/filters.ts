/**
 * Filters as INTERFACES.md defines them, written a second time on purpose: a judge that shared the matcher of the
 * server would not see it fail.
 */
export function matchesFilter(filter: string, channel: string): boolean {
  if (filter === channel) return true;
  if (!isWildcard(filter) || (channel.startsWith('$') && !filter.startsWith('$'))) return false;
  const pattern = filter
    .split('/')
    .map((level) => (level === '*' ? '[^/]*' : level.replace(/[^\w*]/g, '\\$&')))
    .join('/')
    .replace(/\/\*\*$/, '(/.*)?')
    .replace(/^\*\*$/, '.*');
  return new RegExp(`^${pattern}$`, 's').test(channel);
}

export function isWildcard(filter: string): boolean {
  return filter.includes('*');
}
