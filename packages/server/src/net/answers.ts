/** Waiting answers of this size are written at once, before the end of the turn. */
export const answersFlushedFrom = 16 * 1024;

/** Joins the answers before the write: for a few small buffers, a copy costs less than a vectored write. */
export function joinAnswers(answers: readonly Buffer[], bytes: number): Buffer {
  return answers.length === 1 ? answers[0]! : Buffer.concat(answers, bytes);
}
