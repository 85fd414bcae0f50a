import { request } from 'undici';

export interface FetchOptions {
  readonly bytesMax: number;
  readonly signal: AbortSignal;
}

/** Fetches a URL that the operator has configured. Throws if the request fails, or if the answer has more than `bytesMax`. */
export type FetchKeySet = (url: string, options: FetchOptions) => Promise<Buffer>;

/** Why there is no answer, for the log. */
export class FetchError extends Error {
  override readonly name = 'FetchError';
}

/**
 * By HTTP. Accepts only status 200, since neither `request` nor this function follows redirects, and does not
 * decompress. Closes the connection afterwards, because the next request comes minutes later.
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
    // Do not wait for the rest of a refused answer.
    body.on('error', () => undefined).destroy();
  }
};
