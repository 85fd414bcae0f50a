/** An event as httpx-sse 0.4 gives it to its caller. */
export interface HttpxEvent {
  readonly event: string;
  readonly data: string;
  readonly id: string;
}

/**
 * The decoder of Python's httpx-sse, rule by rule. Unlike a browser it gives an event for every blank line once it has
 * seen an id, since the id is not reset, and an event without data has the empty text.
 */
export class HttpxSseDecoder {
  #event = '';
  #data: string[] = [];
  #lastEventId = '';
  #retryMs: number | undefined;

  read(text: string): readonly HttpxEvent[] {
    return text
      .split(/\r\n|\n|\r/)
      .slice(0, -1)
      .flatMap((line) => this.#decode(line) ?? []);
  }

  #decode(line: string): HttpxEvent | undefined {
    if (line === '') return this.#end();
    if (line.startsWith(':')) return undefined;
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const rest = colon < 0 ? '' : line.slice(colon + 1);
    const value = rest.startsWith(' ') ? rest.slice(1) : rest;
    if (field === 'event') this.#event = value;
    else if (field === 'data') this.#data.push(value);
    else if (field === 'id' && !value.includes('\0')) this.#lastEventId = value;
    else if (field === 'retry' && /^\d+$/.test(value)) this.#retryMs = Number(value);
    return undefined;
  }

  #end(): HttpxEvent | undefined {
    const isNothing =
      this.#event === '' &&
      this.#data.length === 0 &&
      this.#lastEventId === '' &&
      this.#retryMs === undefined;
    if (isNothing) return undefined;
    const found = {
      event: this.#event === '' ? 'message' : this.#event,
      data: this.#data.join('\n'),
      id: this.#lastEventId,
    };
    this.#event = '';
    this.#data = [];
    this.#retryMs = undefined;
    return found;
  }
}
