/** No word of ours is as long as this and part of a token. */
const partLength = 12;

/** Every stretch of that length. */
function* partsOf(text: string): Generator<string, void, undefined> {
  for (let at = 0; at + partLength <= text.length; at += 1) yield text.slice(at, at + partLength);
}

/** The parts of secrets that are in any of the outputs. */
export function findParts(secrets: readonly string[], outputs: readonly string[]): readonly string[] {
  const parts = new Set<string>();
  for (const secret of secrets) for (const part of partsOf(secret)) parts.add(part);
  return outputs.flatMap((output) => [...partsOf(output)].filter((part) => parts.has(part)));
}
