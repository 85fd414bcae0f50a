/** One element of an `Accept` header (RFC 9110 §12.5.1). */
interface Range {
  readonly type: string;
  readonly subtype: string;
  readonly quality: number;
}

const element = /^\s*([!#$%&'*+.^_`|~0-9a-z-]+)\/([!#$%&'*+.^_`|~0-9a-z-]+)\s*((?:;.*)?)$/i;
const qualityShape = /;\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*(?:;|$)/i;

/**
 * Chooses among `offered`, in the server's order of preference. No header, or an empty one, accepts everything.
 * The most specific range that fits a type gives its quality; the highest quality wins, then the server's order.
 * `undefined`: nothing on offer is acceptable.
 */
export function negotiate<T extends { readonly mediaTypes: readonly string[] }>(
  accept: string | undefined,
  offered: readonly T[],
): T | undefined {
  if (accept === undefined || accept.trim() === '') return offered[0];
  const ranges = accept.split(',').flatMap(parseRange);
  let best: T | undefined;
  let bestQuality = 0;
  for (const offer of offered) {
    const quality = Math.max(...offer.mediaTypes.map((mediaType) => qualityOf(mediaType, ranges)));
    if (quality > bestQuality) {
      best = offer;
      bestQuality = quality;
    }
  }
  return best;
}

function qualityOf(mediaType: string, ranges: readonly Range[]): number {
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
  return quality;
}

function fit(wanted: string, subtype: string | undefined): number | false {
  if (wanted === '*') return 2;
  return wanted === subtype && 3;
}

/** Ignores elements that do not parse: one good element is enough. */
function parseRange(text: string): readonly Range[] {
  const match = element.exec(text);
  if (match === null) return [];
  const parameters = match[3]!;
  const quality = qualityShape.exec(parameters);
  if (quality === null && /;\s*q=/i.test(parameters)) return [];
  return [
    {
      type: match[1]!.toLowerCase(),
      subtype: match[2]!.toLowerCase(),
      quality: quality === null ? 1 : Number(quality[1]),
    },
  ];
}
