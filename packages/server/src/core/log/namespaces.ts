import { parseFilter, type Filter, FilterTrie } from '@everywire/protocol';
import { payloadBytesHardMax, type Limits } from '../limits.ts';
import type { Retention } from '../seams/store.ts';

/** The rules for the channels of one filter. */
export interface NamespaceRules {
  readonly retention: Retention;
  /** Largest payload; as far as `limits.payloadBytesMax` allows. */
  readonly payloadBytesMax: number;
  /** Messages per second that one channel takes from all publishers together; twice as many at once. 0: no limit. */
  readonly publishesPerSecondMax: number;
  /** A payload whose type the publisher did not tell gets one by its bytes. */
  readonly detectsTypes: boolean;
}

export interface NamespaceEntry {
  readonly filter: string;
  readonly retention?: Partial<Retention>;
  readonly payloadBytesMax?: number;
  readonly publishesPerSecondMax?: number;
  readonly detectsTypes?: boolean;
}

export interface Namespaces {
  /** The rules of the most specific filter that matches, completed by the defaults. */
  rulesOf(channel: string): NamespaceRules;
}

/** DESIGN: a channel keeps 10,000 messages or 7 days; bytes are bounded so that one channel cannot fill the disk. */
export const defaultRules: NamespaceRules = {
  retention: { countMax: 10_000, ageMsMax: 7 * 86_400_000, bytesMax: 1024 * 1024 * 1024 },
  payloadBytesMax: payloadBytesHardMax,
  publishesPerSecondMax: 0,
  detectsTypes: true,
};

interface Namespace {
  readonly filter: Filter;
  readonly rules: NamespaceRules;
}

/** @throws EverywireError `bad_name` for an invalid filter */
export function createNamespaces(
  entries: readonly NamespaceEntry[],
  defaults: NamespaceRules,
  limits: Pick<Limits, 'nameBytesMax' | 'nameLevelsMax' | 'filterWildcardsMax'>,
): Namespaces {
  if (entries.length === 0) return { rulesOf: () => defaults };
  const trie = new FilterTrie<Namespace>();
  for (const entry of entries) {
    const filter = parseFilter(entry.filter, limits);
    const rules: NamespaceRules = {
      retention: { ...defaults.retention, ...entry.retention },
      payloadBytesMax: entry.payloadBytesMax ?? defaults.payloadBytesMax,
      publishesPerSecondMax: entry.publishesPerSecondMax ?? defaults.publishesPerSecondMax,
      detectsTypes: entry.detectsTypes ?? defaults.detectsTypes,
    };
    trie.add(filter, { filter, rules });
  }
  return {
    rulesOf(channel) {
      let best: Namespace | undefined;
      trie.match(channel, (namespace) => {
        if (best === undefined || isMoreSpecific(namespace.filter, best.filter)) best = namespace;
      });
      return best?.rules ?? defaults;
    },
  };
}

/** Level by level, a name beats `*`, `*` beats `**`, and the first difference decides. Both match the same channel. */
function isMoreSpecific(left: Filter, right: Filter): boolean {
  for (let at = 0; at < Math.max(left.levels.length, right.levels.length); at += 1) {
    const difference = weight(left.levels[at]) - weight(right.levels[at]);
    if (difference !== 0) return difference > 0;
  }
  return false;
}

function weight(level: string | undefined): number {
  // A filter that ended matched exactly; the other continues with `**`.
  if (level === undefined) return 3;
  return level === '**' ? 0 : level === '*' ? 1 : 2;
}
