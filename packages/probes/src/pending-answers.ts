/** Requests on one connection that wait for their answers, by the key that request and answer share. */
export class PendingAnswers<Key, Answer> {
  readonly #waiting = new Map<Key, PromiseWithResolvers<Answer>>();

  has(key: Key): boolean {
    return this.#waiting.has(key);
  }

  /** Resolves or rejects with the answer; rejects if the connection ends before. */
  wait(key: Key): Promise<Answer> {
    const answer = Promise.withResolvers<Answer>();
    this.#waiting.set(key, answer);
    return answer.promise;
  }

  /** Removes and returns the request with this key; `undefined` if there is no such request. */
  take(key: Key): PromiseWithResolvers<Answer> | undefined {
    const answer = this.#waiting.get(key);
    this.#waiting.delete(key);
    return answer;
  }

  /** The connection ended: rejects all. */
  end(reason: Error): void {
    for (const answer of this.#waiting.values()) answer.reject(reason);
    this.#waiting.clear();
  }
}
