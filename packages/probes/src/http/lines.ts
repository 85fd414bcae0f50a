/** Lines ended by LF, CRLF or CR, without their ends. What follows the last end is no line yet and is dropped. */
export async function* splitLines(chunks: AsyncIterable<string>): AsyncGenerator<string, void, undefined> {
  let rest = '';
  for await (const chunk of chunks) {
    rest += chunk;
    // A CR that ends a chunk may be half of a CRLF, so it waits for the next.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop()!;
    yield* lines;
  }
}
