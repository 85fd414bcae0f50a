import { makePayload, payloadBytesDefault } from '../payload.ts';

const batchMax = 1_000;

/**
 * Publishes messages `fromSeq` to `toSeq` to an Everywire server with `POST /publish`; returns each one's cursor.
 * Throws when one is refused.
 */
export async function prefill(
  port: number,
  channel: string,
  fromSeq: number,
  toSeq: number,
): Promise<readonly string[]> {
  const cursors: string[] = [];
  for (let seq = fromSeq; seq <= toSeq; seq += batchMax) {
    const count = Math.min(batchMax, toSeq - seq + 1);
    const drafts = Array.from({ length: count }, (_, i) => ({
      channel,
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
