/** Requests on one connection that wait for their answers, by the key that request and answer share. */
export class PendingAnswers<Key, Answer> {
  readonly #waiting = new Map<Key, PromiseWithResolvers<Answer>>();

  has(key: Key): boolean {
    return this.#waiting.has(key);
  }

  /** Resolves or rejects when the answer is settled; rejects when the connection ends before. */
  wait(key: Key): Promise<Answer> {
    const answer = Promise.withResolvers<Answer>();
    this.#waiting.set(key, answer);
    return answer.promise;
  }

  /** The request with this key, which waits no longer; `undefined` when there is no such request. */
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
