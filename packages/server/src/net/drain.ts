/** Waits for peers that were told to go, and cuts those that are left when `deadline` aborts. */
export async function cutAt(
  deadline: AbortSignal,
  { gone, cut }: { readonly gone: Promise<unknown>; readonly cut: () => void },
): Promise<void> {
  if (deadline.aborted) cut();
  else deadline.addEventListener('abort', cut, { once: true });
  await gone;
  deadline.removeEventListener('abort', cut);
}
