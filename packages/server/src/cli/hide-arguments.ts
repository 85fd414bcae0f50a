const secretOptions = ['--token', '--jwt-secret'] as const;

/**
 * Arguments are shown to every user of the machine by `ps`. Where one is a secret, the process list has the command's
 * name from now on; the shell's history, and a process list read in the moments before, still have it.
 */
export function hideSecretArguments(args: readonly string[]): void {
  const [command = ''] = args;
  const isSecret = (argument: string): boolean =>
    secretOptions.some((option) => argument === option || argument.startsWith(`${option}=`));
  if (command === 'explain' || args.some(isSecret)) process.title = `everywire ${command}`;
}
