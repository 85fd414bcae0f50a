import { makePayload, payloadBytesDefault } from '../payload.ts';

const batchMax = 1_000;

/**
 * Publishes to an Everywire server with `POST /publish` the messages `fromSeq` to `toSeq`, each to the channel that
 * `channelOf` gives for its number; returns each one's cursor. Throws when one is refused.
 */
export async function prefill(
  port: number,
  channelOf: (seq: number) => string,
  fromSeq: number,
  toSeq: number,
): Promise<readonly string[]> {
  const cursors: string[] = [];
  for (let seq = fromSeq; seq <= toSeq; seq += batchMax) {
    const count = Math.min(batchMax, toSeq - seq + 1);
    const drafts = Array.from({ length: count }, (_, i) => ({
      channel: channelOf(seq + i),
      type: 'text/plain',
      data: makePayload(seq + i, payloadBytesDefault),
    }));
    const response = await fetch(`http://127.0.0.1:${port}/publish`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(drafts),
    });
    const answers = (await response.json()) as readonly { readonly cursor?: string }[];
    if (!response.ok) throw new Error(`POST /publish: ${response.status} ${JSON.stringify(answers)}`);
    for (const answer of answers) {
      if (answer.cursor === undefined) throw new Error(`POST /publish: ${JSON.stringify(answer)}`);
      cursors.push(answer.cursor);
    }
  }
  return cursors;
}
