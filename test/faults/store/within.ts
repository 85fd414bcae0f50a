/** The answer, or `late` if it has not come within `timeMs`. */
export async function within<T>(promise: Promise<T>, timeMs: number): Promise<T | 'late'> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), timeMs);
  });
  const first = await Promise.race([promise, late]);
  clearTimeout(timer);
  return first;
}
