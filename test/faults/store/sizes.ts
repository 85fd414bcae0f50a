/** Release sizes instead of those of every submission. */
export const isLong = process.env['EVERYWIRE_LONG'] === '1';

/** How often something is tried: in every submission, and for a release. */
export function sizeOf(sizes: { readonly ci: number; readonly release: number }): number {
  return isLong ? sizes.release : sizes.ci;
}
