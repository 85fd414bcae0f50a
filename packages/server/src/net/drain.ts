/** Waits until peers leave that got the notice to leave, and cuts the rest when `deadline` aborts. */
export async function cutAt(
  deadline: AbortSignal,
  { gone, cut }: { readonly gone: Promise<unknown>; readonly cut: () => void },
): Promise<void> {
  if (deadline.aborted) cut();
  else deadline.addEventListener('abort', cut, { once: true });
  await gone;
  deadline.removeEventListener('abort', cut);
}
