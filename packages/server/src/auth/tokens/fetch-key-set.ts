import { request } from 'undici';

export interface FetchOptions {
  readonly bytesMax: number;
  readonly signal: AbortSignal;
}

/** Gets what is at a URL that the operator has configured. Throws when that does not work, or is more than `bytesMax`. */
export type FetchKeySet = (url: string, options: FetchOptions) => Promise<Buffer>;

/** Why there is no answer, in words for the log. */
export class FetchError extends Error {
  override readonly name = 'FetchError';
}

/**
 * By HTTP: 200 and nothing else, since `request` follows no redirects and neither do we; as it comes, without decompression.
 * The connection is closed afterwards: the next time is minutes away.
 */
export const fetchKeySet: FetchKeySet = async (url, { bytesMax, signal }) => {
  const { statusCode, headers, body } = await request(url, {
    signal,
    reset: true,
    headers: { accept: 'application/jwk-set+json, application/json', 'accept-encoding': 'identity' },
  });
  try {
    if (statusCode !== 200) throw new FetchError(`it answered ${statusCode}`);
    if (Number(headers['content-length'] ?? 0) > bytesMax)
      throw new FetchError(`it has more than ${bytesMax} bytes`);
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bytesMax) throw new FetchError(`it has more than ${bytesMax} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } finally {
    // The rest of a refused answer must not be waited for.
    body.on('error', () => undefined).destroy();
  }
};
