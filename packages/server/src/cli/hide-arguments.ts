const secretOptions = ['--token', '--jwt-secret'] as const;

/**
 * `ps` shows arguments to every user of the machine. If one is a secret, the process list shows only the command's name
 * from now on. The shell's history still has the secret, and so does a process list read in the moments before.
 */
export function hideSecretArguments(args: readonly string[]): void {
  const [command = ''] = args;
  const isSecret = (argument: string): boolean =>
    secretOptions.some((option) => argument === option || argument.startsWith(`${option}=`));
  if (command === 'explain' || args.some(isSecret)) process.title = `everywire ${command}`;
}
