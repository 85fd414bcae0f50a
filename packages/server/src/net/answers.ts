/** Answers that wait for the end of the turn are written when they come to this much. */
export const answersFlushedFrom = 16 * 1024;

/** Joined before writing: one write of a few small buffers costs more as a vector than as a copy. */
export function joinAnswers(answers: readonly Buffer[], bytes: number): Buffer {
  return answers.length === 1 ? answers[0]! : Buffer.concat(answers, bytes);
}
