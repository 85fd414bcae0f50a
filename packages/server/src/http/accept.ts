/** One element of an `Accept` header (RFC 9110 §12.5.1). */
interface Range {
  readonly type: string;
  readonly subtype: string;
  readonly quality: number;
}

const element = /^\s*([!#$%&'*+.^_`|~0-9a-z-]+)\/([!#$%&'*+.^_`|~0-9a-z-]+)\s*((?:;.*)?)$/i;
/** Java's own HTTP client writes `*` for everything, and leaves out the zero of a weight, as do other old clients. */
const everything = /^\s*\*\s*(?=;|$)/;
const qualityShape = /;\s*q\s*=\s*"?(\d*\.?\d*)"?\s*(?:;|$)/i;

/**
 * Chooses among `offered`, in the server's order of preference. No header accepts everything, and so does one of which
 * nothing can be read: a preference that is not understood is not a refusal.
 * The most specific range that fits a type gives its quality; the highest quality wins, then a type that is named over
 * one that only a wildcard fits, then the server's order. `fallback` counts as named.
 * `undefined`: nothing on offer is acceptable.
 */
export function negotiate<T extends { readonly mediaTypes: readonly string[] }>(
  accept: string | undefined,
  offered: readonly T[],
  fallback?: string,
): T | undefined {
  const ranges = accept?.split(',').flatMap(parseRange) ?? [];
  if (ranges.length === 0) return offered[0];
  let best: T | undefined;
  let bestWeight: Weight = { quality: 0, isNamed: true };
  for (const offer of offered) {
    for (const mediaType of offer.mediaTypes) {
      const weight = weightOf(mediaType, ranges, fallback);
      if (!isAbove(weight, bestWeight)) continue;
      best = offer;
      bestWeight = weight;
    }
  }
  return best;
}

interface Weight {
  readonly quality: number;
  readonly isNamed: boolean;
}

function isAbove(left: Weight, right: Weight): boolean {
  if (left.quality !== right.quality) return left.quality > right.quality;
  return left.isNamed && !right.isNamed;
}

function weightOf(mediaType: string, ranges: readonly Range[], fallback: string | undefined): Weight {
  const [type, subtype] = mediaType.split('/');
  let quality = 0;
  let specificity = 0;
  for (const range of ranges) {
    const fits =
      range.type === '*' ? range.subtype === '*' && 1 : range.type === type && fit(range.subtype, subtype);
    if (fits === false || fits <= specificity) continue;
    specificity = fits;
    quality = range.quality;
  }
  return { quality, isNamed: specificity === 3 || mediaType === fallback };
}

function fit(wanted: string, subtype: string | undefined): number | false {
  if (wanted === '*') return 2;
  return wanted === subtype && 3;
}

/** Ignores elements that do not parse: one good element is enough. */
function parseRange(text: string): readonly Range[] {
  const match = element.exec(text.replace(everything, '*/*'));
  if (match === null) return [];
  const parameters = match[3]!;
  return [
    {
      type: match[1]!.toLowerCase(),
      subtype: match[2]!.toLowerCase(),
      quality: qualityIn(parameters),
    },
  ];
}

/** The weight (RFC 9110 §12.4.2), 1 where it is absent or unreadable. */
function qualityIn(parameters: string): number {
  const text = qualityShape.exec(parameters)?.[1];
  const quality = text === undefined || !/\d/.test(text) ? 1 : Number(text);
  return Math.min(quality, 1);
}
